//! Each case, feeds in and a table out: `id email unit first last`, places as `import.index`.

use feedgate::erasure::Erasing;
use feedgate::ledger::Whom;
use feedgate::ledger::people::Who;
use feedgate::spool::Spool;
use feedgate::unique::Unique;
use tokio_util::sync::CancellationToken;

use super::Feed::{Events, Users};
use super::*;

/// Takes the feeds in, one import each, and reads them at the end.
async fn check(feeds: &[Feed<'_>], expect: &[&str]) -> World {
    let world = World::new();
    for (number, feed) in feeds.iter().enumerate() {
        import(&world, number, *feed).await;
    }
    read(&world).await;
    let ledger = world.path("ledger.db");
    assert_eq!(table(&ledger), expect, "{feeds:#?}");
    counts_are_right(&ledger);
    // Read after every import it comes to the same.
    let one_by_one = World::new();
    for (number, feed) in feeds.iter().enumerate() {
        import(&one_by_one, number, *feed).await;
        read(&one_by_one).await;
    }
    assert_eq!(table(&one_by_one.path("ledger.db")), expect, "one by one: {feeds:#?}");
    world
}

#[tokio::test]
async fn a_known_id_is_that_user() {
    check(&[Events(&["u1 - -", "u1 - -"])], &["u1 - - 1.0 1.1"]).await;
    // An address that nobody has becomes theirs, if they have none; and later events add nothing that contradicts it.
    check(
        &[Events(&["u1 - -", "u1 a@x.de DE", "u1 b@x.de DE", "u1 - -"])],
        &["u1 a@x.de DE 1.0 1.3"],
    )
    .await;
    check(
        &[Events(&["u1 a@x.de DE", "u1 A@X.de DE", "u1 a@x.de AT"])],
        &["u1 a@x.de DE 1.0 1.2"],
    )
    .await;
}

#[tokio::test]
async fn a_new_id_with_a_leads_address_makes_the_lead_a_user() {
    check(
        &[
            Events(&["- a@x.de DE"]),
            Events(&["u1 a@x.de DE", "- a@x.de DE", "u1 - -"]),
        ],
        &["u1 a@x.de DE 1.0 2.2 upgraded 2.0"],
    )
    .await;
}

#[tokio::test]
async fn a_new_id_with_a_users_address_clashes_and_nobody_is_made() {
    check(
        &[Events(&["u1 a@x.de DE"]), Events(&["u2 a@x.de DE", "u2 A@x.de DE"])],
        &[
            "u1 a@x.de DE 1.0 1.0",
            "clash 2.0 new_id_for_a_user u2 a@x.de DE: nobody, u1",
            "clash 2.1 new_id_for_a_user u2 A@x.de DE: nobody, u1",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_address_alone_is_somebody_known_or_a_new_lead() {
    check(
        &[Events(&[
            "- a@x.de DE",
            "- A@X.DE DE",
            "- a@x.de AT",
            "u1 b@x.de DE",
            "- b@x.de DE",
        ])],
        &["u1 b@x.de DE 1.3 1.4", "- a@x.de AT 1.2 1.2", "- a@x.de DE 1.0 1.1"],
    )
    .await;
}

#[tokio::test]
async fn a_new_id_without_an_address_is_a_new_user() {
    check(
        &[Events(&["- a@x.de DE", "u1 - -", "u2 b@x.de -"])],
        &["u1 - - 1.1 1.1", "u2 b@x.de - 1.2 1.2", "- a@x.de DE 1.0 1.0"],
    )
    .await;
}

/// The trap of the vendor's pages: the event came before the record that would have made the lead a user, and made another.
/// What brings the two together later makes them one.
#[tokio::test]
async fn two_that_turn_out_to_be_one() {
    let lead_and_user = [Events(&["- a@x.de DE"]), Events(&["u1 - -"])];
    check(&lead_and_user, &["u1 - - 2.0 2.0", "- a@x.de DE 1.0 1.0"]).await;
    let merged = &["u1 a@x.de DE 1.0 3.0 upgraded 3.0 merged"];
    for brings_together in [Users(&["u1 a@x.de DE"]), Events(&["u1 a@x.de DE"])] {
        let [lead, user] = lead_and_user;
        check(&[lead, user, brings_together], merged).await;
    }
    // In one and the same import as well.
    check(
        &[Events(&["- a@x.de DE", "u1 - -", "u1 a@x.de DE"])],
        &["u1 a@x.de DE 1.0 1.2 upgraded 1.2 merged"],
    )
    .await;
}

#[tokio::test]
async fn an_id_with_somebody_elses_address_clashes_and_changes_nothing() {
    check(
        &[
            Events(&["u1 a@x.de DE", "u2 b@x.de DE", "u3 - -"]),
            Events(&["u2 a@x.de DE", "u3 a@x.de DE"]),
        ],
        &[
            "u1 a@x.de DE 1.0 1.0",
            "u2 b@x.de DE 1.1 2.0",
            "u3 - - 1.2 2.1",
            "clash 2.0 address_of_another_user u2 a@x.de DE: u2, u1",
            "clash 2.1 address_of_another_user u3 a@x.de DE: u3, u1",
        ],
    )
    .await;
    check(
        &[Events(&["- a@x.de DE", "u1 b@x.de DE", "u1 a@x.de DE"])],
        &[
            "u1 b@x.de DE 1.1 1.2",
            "- a@x.de DE 1.0 1.0",
            "clash 1.2 address_of_a_lead u1 a@x.de DE: u1, lead",
        ],
    )
    .await;
}

/// What clashed with a lead clashes with the user that it was found to be.
#[tokio::test]
async fn a_clash_follows_whom_it_is_about() {
    check(
        &[
            Events(&["- a@x.de DE", "u1 b@x.de DE", "u1 a@x.de DE"]),
            Events(&["u2 - -", "u2 a@x.de DE"]),
        ],
        &[
            "u1 b@x.de DE 1.1 1.2",
            "u2 a@x.de DE 1.0 2.1 upgraded 2.1 merged",
            "clash 1.2 address_of_a_lead u1 a@x.de DE: u1, u2",
        ],
    )
    .await;
}

#[tokio::test]
async fn no_unit_is_no_unit_however_it_is_not_given() {
    let world = World::new();
    let feed = r#"[{"event":"e","id":"u1","email":"a@x.de"},
        {"event":"e","id":"u2","email":"a@x.de","businessUnit":null},
        {"event":"e","id":"u3","email":"a@x.de","businessUnit":" "},
        {"event":"e","id":"u4","email":"a@x.de","businessUnit":""}]"#;
    world.import("acme", &digits(0), feed).await;
    read(&world).await;
    let expect: Vec<String> = ["u2", "u3", "u4"]
        .iter()
        .enumerate()
        .map(|(n, id)| format!("clash 1.{} new_id_for_a_user {id} a@x.de -: nobody, u1", n + 1))
        .collect();
    assert_eq!(table(&world.path("ledger.db"))[1..], expect);
}

#[tokio::test]
async fn addresses_are_compared_in_lower_case() {
    check(
        &[Events(&["- ÄDA@X.de DE", "u1 äda@x.DE DE"])],
        &["u1 ÄDA@X.de DE 1.0 1.1 upgraded 1.1"],
    )
    .await;
    // Ids are not.
    check(&[Events(&["U1 - -", "u1 - -"])], &["U1 - - 1.0 1.0", "u1 - - 1.1 1.1"]).await;
}

#[tokio::test]
async fn a_record_says_how_somebody_is_now() {
    check(
        &[Events(&["u1 a@x.de DE"]), Users(&["u1 B@x.de AT", "u2 c@x.de DE"])],
        &["u1 B@x.de AT 1.0 2.0", "u2 c@x.de DE 2.1 2.1"],
    )
    .await;
    // What it leaves out is overwritten with nothing, and free for somebody else.
    check(
        &[Events(&["u1 a@x.de DE"]), Users(&["u1 - -"]), Events(&["u2 a@x.de DE"])],
        &["u1 - - 1.0 2.0", "u2 a@x.de DE 3.0 3.0"],
    )
    .await;
    // Two change places, by way of nothing.
    check(
        &[
            Users(&["u1 a@x.de DE", "u2 b@x.de DE"]),
            Users(&["u1 - -", "u2 a@x.de DE", "u1 b@x.de DE"]),
        ],
        &["u1 b@x.de DE 1.0 2.2", "u2 a@x.de DE 1.1 2.1"],
    )
    .await;
}

#[tokio::test]
async fn a_record_makes_a_lead_a_user() {
    check(
        &[Events(&["- a@x.de DE"]), Users(&["u1 A@x.de DE"])],
        &["u1 A@x.de DE 1.0 2.0 upgraded 2.0"],
    )
    .await;
    // Of a user with another address as well: the record says how they are now.
    check(
        &[Events(&["- a@x.de DE", "u1 b@x.de DE"]), Users(&["u1 a@x.de DE"])],
        &["u1 a@x.de DE 1.0 2.0 upgraded 2.0 merged"],
    )
    .await;
}

#[tokio::test]
async fn a_record_does_not_take_another_users_address() {
    check(
        &[
            Users(&["u1 a@x.de DE", "u2 b@x.de DE"]),
            Users(&["u2 a@x.de DE", "u3 a@x.de DE"]),
        ],
        &[
            "u1 a@x.de DE 1.0 1.0",
            "u2 b@x.de DE 1.1 2.0",
            "clash 2.0 address_of_another_user u2 a@x.de DE: u2, u1",
            "clash 2.1 new_id_for_a_user u3 a@x.de DE: nobody, u1",
        ],
    )
    .await;
}

#[tokio::test]
async fn only_what_was_accepted_is_heard() {
    let world = World::new();
    let feed = r#"[{"id":"u1"},{"event":"e"},{"event":"e","id":"u2","email":"no address"},7]"#;
    world.import("acme", &digits(0), feed).await;
    assert_eq!(read(&world).await, 1);
    assert_eq!(table(&world.path("ledger.db")), ["u2 - - 1.2 1.2"]);
}

/// For `feedgate erase`: nothing is left, and the next entry makes somebody new.
#[tokio::test]
async fn forgotten() {
    let feeds = [Events(&["u1 a@x.de DE", "u2 a@x.de DE", "u3 c@x.de DE", "- b@x.de DE"])];
    let world = check(
        &feeds,
        &[
            "u1 a@x.de DE 1.0 1.0",
            "u3 c@x.de DE 1.2 1.2",
            "- b@x.de DE 1.3 1.3",
            "clash 1.1 new_id_for_a_user u2 a@x.de DE: nobody, u1",
        ],
    )
    .await;
    let ledger = world.path("ledger.db");
    let by = vec![
        Who::Id("u1".to_owned()),
        Who::Pair("b@x.de".to_owned(), "DE".to_owned()),
        Who::Id("nobody".to_owned()),
    ];
    let forgotten = world.ledger.forget_person(by.clone()).await.expect("forgotten");
    assert_eq!(forgotten.len(), 2);
    assert_eq!(table(&ledger), ["u3 c@x.de DE 1.2 1.2"]);
    assert_eq!(world.ledger.forget_person(by).await.expect("nobody"), []);
    counts_are_right(&ledger);
    import(&world, 1, Events(&["u2 a@x.de DE"])).await;
    read(&world).await;
    assert_eq!(table(&ledger), ["u2 a@x.de DE 2.0 2.0", "u3 c@x.de DE 1.2 1.2"]);
}

/// An import that left the spool, or is damaged, is named and passed over; so is one that was undone, without a word.
#[tokio::test]
async fn what_cannot_be_read_is_a_gap() {
    let world = World::new();
    for number in 0..5 {
        import(&world, number, Events(&[&format!("u{number} - -"), "v - -"])).await;
    }
    world.tamper(
        "UPDATE imports SET spool_file = NULL, spool_offset = NULL, spool_len = NULL, pruned_at = 1 WHERE id = 1;
         UPDATE imports SET imported = 0, undone_by = 5 WHERE id = 4",
    );
    std::fs::write(world.spooled("acme", &digits(2)), "no archive").expect("the spool file");
    assert_eq!(read(&world).await, 4);
    assert_eq!(
        table(&world.path("ledger.db")),
        ["u1 - - 2.0 2.0", "u4 - - 5.0 5.0", "v - - 2.1 5.1"]
    );
    let reading = world.ledger.people_reading().await.expect("the ledger");
    let gap = reading.gap.expect("a gap");
    assert_eq!((gap.imports, gap.entries, gap.first, gap.last), (2, 4, 1, 3));
}

/// A spool file was written anew while its place was known already: what lies elsewhere now is no gap.
#[tokio::test]
async fn what_lies_elsewhere_since_it_was_looked_up_is_read_there() {
    let world = World::new();
    import(&world, 0, Events(&["u - -"; 4_000])).await;
    import(&world, 1, Events(&["v - -"])).await;
    let mut follower = Follower::new(world.ledger.clone(), &world.path("spool"));
    assert_eq!(follower.step().await.expect("read"), Step::Heard(4_000));
    std::fs::rename(world.spooled("acme", &digits(1)), world.path("spool").join("anew")).expect("the spool file");
    world.tamper("UPDATE imports SET spool_file = 'anew' WHERE id = 2");
    while follower.step().await.expect("read") != Step::Done {}
    assert_eq!(table(&world.path("ledger.db")), ["u - - 1.0 1.3999", "v - - 2.0 2.0"]);
    assert_eq!(world.ledger.people_reading().await.expect("the ledger").gap, None);
}

/// What was open before somebody was erased is not read on: the old file is removed, and still says who they were.
#[tokio::test]
async fn whoever_is_erased_while_they_are_read_does_not_come_back() {
    let world = World::new();
    let identity = world.ledger.identity().await.expect("the ledger");
    let (spool, _) = Spool::open(&world.path("spool"), &identity).expect("the spool");
    let mut entries = vec!["u - -"; 4_000];
    entries.extend(["v a@x.de DE", "w - -"]);
    import(&world, 0, Events(&entries)).await;
    let mut follower = Follower::new(world.ledger.clone(), &world.path("spool"));
    assert_eq!(follower.step().await.expect("read"), Step::Heard(4_000));
    world.ledger.erase(Whom::by_id("v"), 0).await.expect("asked");
    let erasing = Erasing {
        ledger: world.ledger.clone(),
        spool,
        unique: Unique::new(&world.path("."), 0).expect("a thread"),
    };
    assert_eq!(erasing.work(&CancellationToken::new()).await.expect("erased"), 1);
    import(&world, 1, Events(&["x - -"])).await;
    while follower.step().await.expect("read") != Step::Done {}
    assert_eq!(world.ledger.people_reading().await.expect("the ledger").gap, None);
    assert_eq!(
        table(&world.path("ledger.db")),
        ["u - - 1.0 1.3999", "w - - 1.4001 1.4001", "x - - 3.0 3.0"]
    );
}
