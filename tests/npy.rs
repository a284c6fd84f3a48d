//! `.npy` files that numpy wrote: read, and written again byte for byte.

use std::path::Path;

use pthinspect::bytes::Limits;
use pthinspect::npy;

#[test]
fn numpys_files_are_written_again_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/questions");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("fixtures/questions") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "npy") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let view = npy::view(&bytes, &Limits::default()).expect("numpy's own");
        let mut written = Vec::new();
        npy::write(&view, &mut written).expect("a Vec");
        assert_eq!(written, bytes, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3, "only {files} files");
}
