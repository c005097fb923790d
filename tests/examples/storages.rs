//! 27-storages: images have a storage of their own.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "27-storages";

#[test]
fn images_and_pages_stand_apart_and_a_purge_of_either_works() {
    let origin = Origin::start(|seen| {
        let kind = if seen.path.ends_with(".png") { "image/png" } else { "text/html" };
        Reply::ok("x".repeat(2000)).header("Content-Type", kind).header("Cache-Control", "max-age=60")
    });
    let proxy = start(NAME, &origin);
    for (path, storage) in [("/a.png", "images"), ("/page", "main")] {
        assert_eq!(client::get(proxy.addr(), path, &[]).header("X-Storage"), Some(storage));
        assert!(is_hit(&client::get(proxy.addr(), path, &[])));
    }
    let stats = proxy.stats();
    let rows = stats["store"]["storages"].as_array().expect("two storages").clone();
    let names: Vec<_> = rows.iter().map(|row| (row["name"].as_str(), row["objects"].as_i64())).collect();
    assert_eq!(names, [(Some("main"), Some(1)), (Some("images"), Some(1))]);
    assert_eq!(
        (rows[1]["bytes_max"].as_u64(), stats["store"]["bytes_max"].as_u64()),
        // 1 GiB, and 256 MiB for the main one, each but for the allocator's sixteenth.
        (Some(960 << 20), Some((960 << 20) + (240 << 20)))
    );
    assert!(rows[1]["bytes"].as_u64().is_some_and(|bytes| bytes > 2000));
}
