//! Destinations of type `bento`.

use std::time::Duration;

use feedgate::config::resolve::{
    BentoSettings, DestinationKind, DestinationSettings, Endpoint, Secret, Start, WithoutEmail,
};

use super::destinations::{BENTO, CERTIFICATE, KEYS, check, file, only, owned};
use super::load;

pub(super) fn bento_of(text: &str) -> BentoSettings {
    match only(text).kind {
        DestinationKind::Bento(bento) => *bento,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_of_a_bento() {
    let dir = tempfile::tempdir().unwrap();
    let (publishable, roots) = (file(dir.path(), "p", "pub\n"), file(dir.path(), "ca.pem", CERTIFICATE));
    let text = format!(
        "[[destination]]
        name = 'bento'
        type = 'bento'
        url = 'http://127.0.0.1:8080/api/v1/'
        site_uuid = '2103f2-A_b'
        publishable_key_file = '{publishable}'
        secret_key_env = 'S'
        ca_file = '{roots}'
        timeout = '1s'
        batch_events = 1000
        batch_per_hour = 1
        fetch_per_hour = 1000000
        burst = 1000
        without_email = 'drop'
        currency = 'JPY'
        bypass_workflows = true
        fields = {{ loyaltyTier = 'loyalty tier', '/cart/a~1b' = 'ab' }}
        profile = {{ firstName = 'first_name' }}
        [destination.tags]
        'Completed Order' = 'customer'
        'Newsletter Signup' = ['newsletter', 'lead']
        [destination.set_fields.'Completed Order']
        last_order = '/orderId'
        total = 'total'
        "
    );
    let expect = DestinationSettings {
        name: "bento".to_owned(),
        kind: DestinationKind::Bento(Box::new(BentoSettings {
            endpoint: Endpoint {
                url: "http://127.0.0.1:8080/api/v1".to_owned(),
                roots: Some(CERTIFICATE.to_owned()),
                timeout: Duration::from_secs(1),
            },
            site_uuid: "2103f2-A_b".to_owned(),
            publishable_key: Secret::new("pub"),
            secret_key: Secret::new("hunter2"),
            batch_events: 1_000,
            batch_per_hour: 1,
            fetch_per_hour: 1_000_000,
            burst: 1_000,
            without_email: WithoutEmail::Drop,
            currency: Some("JPY".to_owned()),
            bypass_workflows: true,
            fields: owned([("loyaltyTier", "loyalty tier"), ("/cart/a~1b", "ab")]),
            profile: owned([("firstName", "first_name")]),
            tags: vec![
                ("Completed Order".to_owned(), vec!["customer".to_owned()]),
                (
                    "Newsletter Signup".to_owned(),
                    vec!["newsletter".to_owned(), "lead".to_owned()],
                ),
            ],
            set_fields: vec![(
                "Completed Order".to_owned(),
                owned([("last_order", "/orderId"), ("total", "total")]),
            )],
        })),
        start: Start::Now,
        was: None,
        events: Vec::new(),
        sources: Vec::new(),
        actions: Vec::new(),
        rename: Vec::new(),
        dead_letters_max: 100_000,
    };
    assert_eq!(only(&text), expect);
}

#[test]
fn a_bento_of_few_words() {
    let expect = BentoSettings {
        endpoint: Endpoint {
            url: "https://app.bentonow.com/api/v1".to_owned(),
            roots: None,
            timeout: Duration::from_secs(30),
        },
        site_uuid: "s".to_owned(),
        publishable_key: Secret::new("publishable"),
        secret_key: Secret::new("hunter2"),
        batch_events: 100,
        batch_per_hour: 500,
        fetch_per_hour: 3_600,
        burst: 10,
        without_email: WithoutEmail::Hold,
        currency: None,
        bypass_workflows: false,
        fields: Vec::new(),
        profile: Vec::new(),
        tags: Vec::new(),
        set_fields: Vec::new(),
    };
    assert_eq!(bento_of(BENTO), expect);
}

#[test]
fn destinations_of_one_site_agree_on_its_budgets() {
    let second = |lines: &str| format!("{BENTO}{}{lines}", BENTO.replace("'a'", "'b'"));
    load(&second(""), KEYS).unwrap();
    load(&second("batch_events=7\nurl='https://app.bentonow.com/api/v1/'"), KEYS).unwrap();
    // Another site, by its id alone: however the URL is spelt, Bento counts the same.
    load(&second("burst=7").replacen("'s'", "'t'", 1), KEYS).unwrap();
    let told = |key: &str, ours: u32, theirs: u32| {
        format!(
            "`{key}` is {ours} here and {theirs} in destination `a`: it belongs to the site, which both have; write the same number \
             in both"
        )
    };
    check(
        &second("batch_per_hour=100\nfetch_per_hour=100\nburst=100"),
        &[
            &format!("line 13: {}", told("batch_per_hour", 100, 500)),
            &format!("line 14: {}", told("fetch_per_hour", 100, 3_600)),
            &format!("line 15: {}", told("burst", 100, 10)),
        ],
    );
    check(
        &format!("{BENTO}burst=7\n{}", BENTO.replace("'a'", "'b'")),
        &[&format!("line 8: {}", told("burst", 10, 7))],
    );
}
