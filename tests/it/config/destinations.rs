//! Destinations: every key of each type, and what is said of what is wrong.

use super::load;

#[test]
fn destinations_keep_out_of_each_others_way() {
    let check = |text: &str, expect: &str| {
        assert_eq!(
            load(&format!("state_dir='/s'\n{text}"), &[]).unwrap_err(),
            [expect],
            "{text}"
        );
    };
    let sqlite = "[[destination]]\nname='a'\ntype='sqlite'\n";
    check(
        "[[destination]]\ntype='console'",
        "line 2: `name` is missing from this `[[destination]]`",
    );
    check(
        "[[destination]]\nname='a'\npath='/x'",
        "line 2: `type` is missing from this `[[destination]]`",
    );
    check(
        "[[destination]]\nname='a'\ntype='kafka'",
        "line 4: `type` is `\"kafka\"`: this version does not have it yet; it has \"sqlite\", \"file\", \"console\", \"http\" and \"bento\"",
    );
    check(
        &format!("{sqlite}{sqlite}path='/x'"),
        "line 6: there are two of the name `a` in `[[destination]]`",
    );
    check(
        &format!("{sqlite}[[destination]]\nname='b'\ntype='sqlite'\npath='/s/a.db'"),
        "line 8: `/s/a.db` belongs to destination `a`; give this destination another `path`",
    );
    check(
        "[[destination]]\nname='ledger'\ntype='sqlite'",
        "line 3: `/s/ledger.db` belongs to Feedgate itself; give this destination another `path`",
    );
    check(
        "[[destination]]\nname='spool'\ntype='file'",
        "line 3: `/s/spool` belongs to Feedgate itself; give this destination another `path`",
    );
    check(
        "[[destination]]\nname='a'\ntype='file'\npath='/s'",
        "line 5: `path` is `state_dir` itself; give this destination a place of its own",
    );
    check(
        &format!("{sqlite}was='a'"),
        "line 5: `was`: there is still a destination `a`",
    );
    check(
        &format!("{sqlite}compression=3"),
        "line 5: `compression` is for destinations of type \"file\" and \"http\"",
    );
    check(
        "[[destination]]\nname='a'\ntype='console'\npath='/x'",
        "line 5: `path` is for destinations of type \"sqlite\" and \"file\"",
    );
    check(
        "[[destination]]\nname='a'\ntype='file'\ncompression=99",
        "line 5: `compression` is `99`: a zstd level, 1 to 22, \"zstd\", \"gzip\" or \"none\" is wanted",
    );
}
