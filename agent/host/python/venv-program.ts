/** The exit code for a virtual environment that could not be made. pip has others. */
export const venvFailed = 90;

/** What the program reads from its standard input. */
export interface VenvWork {
  /** The environment's path. */
  directory: string;
  systemSitePackages: boolean;
  /**
   * pip's words; unset if nothing is installed. `PIP` among them stands for how this Python runs pip, and `REQUIREMENTS` for the
   * file of the lines below.
   */
  pip?: string[];
  requirements?: string;
  /** Where pip runs: a directory in the release. */
  cwd: string;
  /**
   * Set if what is installed may write to the project. It is given a copy of the release `from`, which appears in place of the
   * release at `at`; without mounts the copy lies elsewhere, and is removed.
   */
  copy?: { from: string; at: string; mounted: boolean };
}

/**
 * Makes an environment and installs into it, as one step: systemd gives each step a user of its own. It runs isolated, and
 * pip is a process of its own. A Python without pip has a wheel of it, from which `venv` installs pip: Debian's python3-venv
 * brings it, and no compiler, which python3-pip recommends.
 *
 * Of a copied release only the environment is kept. `setup.py develop`, which pip uses for old projects with `-e`, leaves the
 * project's metadata in the project, so it is copied. Other files that a build writes there are lost. Where the environment
 * needs them, since it leads to the project (`-e`), they are named.
 */
export const venvProgram = `
import filecmp, glob, importlib.util, itertools, json, os, shutil, signal, subprocess, sys, sysconfig, tempfile

def copied(source, target):
    os.makedirs(target, exist_ok=True)
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

def lead_to(environment, sites, old, new):
    patterns = [os.path.join(glob.escape(site), name) for site in sites for name in (
        "*.pth", "*.egg-link", "__editable__*", os.path.join("*.dist-info", "direct_url.json"))]
    for pattern in patterns + [os.path.join(glob.escape(environment), "bin", "*")]:
        for path in glob.glob(pattern):
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                text = file.read()
            if os.fsencode(old) in text:
                with open(path, "wb") as file:
                    file.write(text.replace(os.fsencode(old), os.fsencode(new)))

def lost(source, target):
    for place, directories, files in os.walk(target):
        directories[:] = [name for name in directories if name not in ("build", "__pycache__") and not name.endswith(".egg-info")]
        for name in files:
            path = os.path.join(place, name)
            known = os.path.join(source, os.path.relpath(path, target))
            if not os.path.exists(known) or not filecmp.cmp(known, path, shallow=False):
                yield os.path.relpath(path, target)

def run_pip():
    if importlib.util.find_spec("pip"):
        return ["-m", "pip"]
    places = [sysconfig.get_config_var("WHEEL_PKG_DIR")]
    if importlib.util.find_spec("ensurepip"):
        import ensurepip
        places.append(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
    for place in filter(None, places):
        for wheel in glob.glob(os.path.join(glob.escape(place), "pip-*.whl")):
            return [os.path.join(wheel, "pip")]
    return ["-m", "pip"]

def build(work, own):
    environment, copy, cwd = work["directory"], work.get("copy"), work["cwd"]
    import venv
    venv.EnvBuilder(symlinks=True, system_site_packages=work["systemSitePackages"]).create(environment)
    if copy:
        target = copy["at"] if copy["mounted"] else os.path.join(own, "release")
        copied(copy["from"], target)
        cwd = os.path.join(target, os.path.relpath(cwd, copy["at"]))
    if "pip" not in work:
        return 0
    requirements = os.path.join(own, "requirements.txt")
    with open(requirements, "w") as file:
        file.write(work.get("requirements", ""))
    meant = {"REQUIREMENTS": [requirements], "PIP": run_pip()}
    words = [word for each in work["pip"] for word in meant.get(each, [each])]
    code = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL).returncode
    if code == 0 and copy:
        finish(environment, copy, target)
    return code if code >= 0 else 128 - code

def finish(environment, copy, target):
    sites = glob.glob(os.path.join(glob.escape(environment), "lib", "python3*", "site-packages"))
    if not editable(sites):
        return
    keep_metadata(sites)
    if target != copy["at"]:
        lead_to(environment, sites, target, copy["at"])
    for path in itertools.islice(lost(os.path.join(copy["from"], "app"), os.path.join(target, "app")), 20):
        print(f"{path} was written into the project and is not kept. Install the project without -e if it needs the file.")

# So that the directory goes when the step is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
work = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as own:
    try:
        code = build(work, os.path.realpath(own))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        code = ${venvFailed}
sys.exit(code)
`;
