//! What the fuzzer has found so far, and what it needs to get everywhere, replayed; see `fuzz/README.md`.

mod handles;

use std::path::Path;
use std::time::Duration;

use arbitrary::Unstructured;

use crate::support::*;

/// Does `run` to every input that is kept for a target.
fn replay(target: &str, run: impl Fn(&Path, &[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut replayed = 0;
    for folder in ["regressions", "corpus"] {
        let Ok(files) = std::fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for path in files.map(|file| file.expect("a file of a folder").path()) {
            run(&path, &std::fs::read(&path).expect("an input of the fuzzer"));
            replayed += 1;
        }
    }
    // The folder is not part of the published package.
    assert!(replayed > 0 || !fuzz.exists(), "there is nothing to replay");
}

/// How often each program of several threads is run: what they do to each other differs.
const TIMES: usize = 5;

/// P6, W2, W6, J1, J3, J5, C6, X2, H2, H5: programs of several threads at the handles of one loop.
#[test]
fn handles() {
    limited_to(Duration::from_secs(300), || {
        replay("handles", |path, bytes| {
            let mut bytes = Unstructured::new(bytes);
            let mut choose = |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0);
            let program = handles::Program::draw(&mut choose);
            let ran = std::panic::catch_unwind(|| (0..TIMES).for_each(|_| program.run()));
            assert!(ran.is_ok(), "{}: {program:#?}", path.display());
        });
    });
}
