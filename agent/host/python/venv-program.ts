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
 * project's metadata in the project, so it is copied. Other files that a build writes there are lost. Where the environment
 * needs them, since it leads to the project (`-e`), they are named.
 */
export const venvProgram = `
import filecmp, glob, itertools, json, os, shutil, subprocess, sys, tempfile

def copied(source, target):
    for name in ("app", "wheels"):
        if os.path.isdir(os.path.join(source, name)):
            shutil.copytree(os.path.join(source, name), os.path.join(target, name))
    for place, directories, files in os.walk(target):
        for name in directories + files:
            path = os.path.join(place, name)
            os.chmod(path, os.stat(path).st_mode | 0o200)

def keep_metadata(sites):
    for site in sites:
        for link in glob.glob(os.path.join(glob.escape(site), "*.egg-link")):
            with open(link) as file:
                project = file.readline().strip()
            for info in glob.glob(os.path.join(glob.escape(project), "*.egg-info")):
                shutil.copytree(info, os.path.join(site, os.path.basename(info)), dirs_exist_ok=True)

def editable(sites):
    for site in sites:
        if glob.glob(os.path.join(glob.escape(site), "*.egg-link")):
            return True
        for path in glob.glob(os.path.join(glob.escape(site), "*.dist-info", "direct_url.json")):
            with open(path) as file:
                if json.load(file).get("dir_info", {}).get("editable"):
                    return True
    return False

def lost(source, target):
    for place, directories, files in os.walk(target):
        directories[:] = [name for name in directories if name not in ("build", "__pycache__") and not name.endswith(".egg-info")]
        for name in files:
            path = os.path.join(place, name)
            known = os.path.join(source, os.path.relpath(path, target))
            if not os.path.exists(known) or not filecmp.cmp(known, path, shallow=False):
                yield os.path.relpath(path, target)

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
sites = glob.glob(os.path.join(glob.escape(environment), "lib", "python3*", "site-packages"))
if code == 0 and copy and editable(sites):
    keep_metadata(sites)
    for path in itertools.islice(lost(*(os.path.join(copy[name], "app") for name in ("from", "to"))), 20):
        print(f"{path} was written into the project and is not kept. Install the project without -e if it needs the file.")
sys.exit(code if code >= 0 else 128 - code)
`;
