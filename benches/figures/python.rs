//! The Python packages that Feedgate is compared with, in the virtual environment that the tests keep as well: `target/python`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::NotHad;

/// Named to the digit, so that a series can be taken again. DuckDB as in `tests/run`, which would otherwise put its own there.
const PACKAGES: &[&str] = &[
    "duckdb==2.0.0",
    "dlt[sqlalchemy,parquet]==1.31.0",
    "adbc-driver-sqlite==1.13.0",
    "orjson==3.13.0",
];

/// Where the scripts lie.
pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures/baseline");

/// An interpreter that has the packages, which are installed if they are missing.
pub fn python() -> Result<PathBuf, NotHad> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python");
    let python = dir.join("bin/python");
    if has_all(&python) {
        return Ok(python);
    }
    crate::say(&format!("installing {} into {}", PACKAGES.join(", "), dir.display()));
    let made = python.exists() || is_well(Command::new("python3").args(["-m", "venv"]).arg(&dir));
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES);
    match made && is_well(&mut install) && has_all(&python) {
        true => Ok(python),
        false => Err(NotHad("its Python packages cannot be installed here".to_string())),
    }
}

fn has_all(python: &Path) -> bool {
    let mut freeze = Command::new(python);
    freeze.args(["-m", "pip", "freeze", "--disable-pip-version-check"]);
    let Ok(output) = freeze.stderr(Stdio::null()).output() else {
        return false;
    };
    let frozen = String::from_utf8_lossy(&output.stdout).into_owned();
    // Extras are no part of what is frozen.
    let plain = |package: &str| match (package.find('['), package.find(']')) {
        (Some(from), Some(to)) => format!("{}{}", &package[..from], &package[to + 1..]),
        _ => package.to_string(),
    };
    PACKAGES
        .iter()
        .all(|package| frozen.lines().any(|line| line == plain(package)))
}

fn is_well(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
