/** The exit code for a virtual environment that could not be made. pip has others. */
export const venvFailed = 90;

/** What the program reads from its standard input. */
export interface VenvWork {
  /** The environment's path. */
  directory: string;
  systemSitePackages: boolean;
  /** pip's words; unset if nothing is installed. `REQUIREMENTS` among them stands for the file of the lines below. */
  pip?: string[];
  requirements?: string;
  /** Where pip runs. */
  cwd: string;
  /** Set if what is installed may write to the project: the release in its place is empty, and gets a copy of this one. */
  copy?: { from: string; to: string };
}

/**
 * Makes an environment and installs into it, as one step: systemd gives each step a user of its own. It runs isolated, and
 * pip is a process of its own.
 *
 * Of a copied release only the environment is kept. `setup.py develop`, which pip uses for old projects with `-e`, leaves the
 * project's metadata in the project, so it is copied. Compiled modules there would be lost, so they are named.
 */
export const venvProgram = `
import glob, json, os, shutil, subprocess, sys, tempfile

def copied(source, target):
    for name in ("app", "wheels"):
        if os.path.isdir(os.path.join(source, name)):
            shutil.copytree(os.path.join(source, name), os.path.join(target, name))
    for place, directories, files in os.walk(target):
        for name in directories + files:
            path = os.path.join(place, name)
            os.chmod(path, os.stat(path).st_mode | 0o200)

def keep_metadata(environment):
    for site in glob.glob(os.path.join(glob.escape(environment), "lib", "python3*", "site-packages")):
        for link in glob.glob(os.path.join(glob.escape(site), "*.egg-link")):
            with open(link) as file:
                project = file.readline().strip()
            for info in glob.glob(os.path.join(glob.escape(project), "*.egg-info")):
                shutil.copytree(info, os.path.join(site, os.path.basename(info)), dirs_exist_ok=True)

def name_lost(source, target):
    top = os.path.join(target, "app")
    for place, directories, files in os.walk(top):
        directories[:] = [name for name in directories if name != "build"]
        for name in files:
            path = os.path.relpath(os.path.join(place, name), top)
            if name.endswith(".so") and not os.path.exists(os.path.join(source, "app", path)):
                print(f"{path} was compiled into the project and is not kept. Install the project without -e.")

work = json.load(sys.stdin)
environment, copy = work["directory"], work.get("copy")
try:
    import venv
    if copy:
        copied(copy["from"], copy["to"])
    venv.EnvBuilder(symlinks=True, system_site_packages=work["systemSitePackages"]).create(environment)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(${venvFailed})
if "pip" not in work:
    sys.exit(0)
with tempfile.TemporaryDirectory() as own:
    requirements = os.path.join(own, "requirements.txt")
    with open(requirements, "w") as file:
        file.write(work.get("requirements", ""))
    words = [requirements if word == "REQUIREMENTS" else word for word in work["pip"]]
    sys.stdout.flush()
    code = subprocess.run(words, cwd=work["cwd"], stdin=subprocess.DEVNULL).returncode
if code == 0 and copy:
    keep_metadata(environment)
    name_lost(copy["from"], copy["to"])
sys.exit(code if code >= 0 else 128 - code)
`;
