//! The seeds of the fuzz targets, replayed on stable: what once broke a parser breaks none any more.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_seed_of_every_fuzz_target_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, _) in targets::TARGETS {
        let folder = fs::read_dir(seeds.join(name)).unwrap_or_else(|e| panic!("no seeds for {name}: {e}"));
        let mut count = 0;
        for seed in folder {
            let seed = seed.unwrap();
            eprintln!("{name}: {:?}", seed.file_name());
            targets::run(name, &fs::read(seed.path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}

#[test]
fn every_target_has_its_program_and_every_folder_of_seeds_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries.map(|e| e.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned()).collect()
    };
    let targets: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("targets"), targets);
    assert_eq!(names("seeds"), targets);
}
