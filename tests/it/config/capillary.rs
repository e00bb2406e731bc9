//! Destinations of type `capillary`.

use std::time::Duration;

use feedgate::config::resolve::{
    ApiSettings, Authorization, CapillarySettings, DestinationKind, Endpoint, Secret, WithoutDefinition, WithoutEmail,
};

use super::destinations::{CERTIFICATE, KEYS, check, file, only, owned};
use super::load;

const CAPILLARY: &str = "[[destination]]\nname='a'\ntype='capillary'\nurl='https://h/hook'\n";

fn capillary_of(text: &str) -> CapillarySettings {
    match only(text).kind {
        DestinationKind::Capillary(capillary) => *capillary,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_of_a_capillary() {
    let dir = tempfile::tempdir().unwrap();
    let (roots, token) = (
        file(dir.path(), "ca.pem", CERTIFICATE),
        file(dir.path(), "t", "token\n"),
    );
    let text = format!(
        "{CAPILLARY}user='me'\npassword_env='S'\nca_file='{roots}'\ntimeout='1s'\nwithout_definition='drop'\n\
         without_identifier='refuse'\ntill_code='t7'\norg_resolver={{ type='CHILD', childOrgId='100' }}\nrequests_per_hour=7\nburst=3\n\
         api_url='https://api/'\ntoken_file='{token}'\nactions=['EIConsumer', 'lake']"
    );
    let endpoint = Endpoint {
        url: "https://h/hook".to_owned(),
        roots: Some(CERTIFICATE.to_owned()),
        timeout: Duration::from_secs(1),
    };
    let authorization = Some(Authorization::Basic {
        user: "me".to_owned(),
        password: Secret::new("hunter2"),
    });
    let expect = CapillarySettings {
        endpoint: endpoint.clone(),
        authorization: authorization.clone(),
        definitions: None,
        without_definition: WithoutDefinition::Drop,
        without_identifier: WithoutEmail::Refuse,
        till_code: Some("t7".to_owned()),
        org_resolver: owned([("type", "CHILD"), ("childOrgId", "100")]),
        requests_per_hour: Some(7),
        burst: 3,
        api: Some(ApiSettings {
            endpoint: Endpoint {
                url: "https://api".to_owned(),
                ..endpoint
            },
            token: Some(Secret::new("token")),
            authorization,
        }),
    };
    assert_eq!(capillary_of(&text), expect);
    assert_eq!(only(&text).actions, ["EIConsumer", "lake"]);
}

#[test]
fn a_capillary_of_few_words() {
    let expect = CapillarySettings {
        endpoint: Endpoint::plain("https://h/hook".to_owned()),
        authorization: None,
        definitions: None,
        without_definition: WithoutDefinition::Refuse,
        without_identifier: WithoutEmail::Hold,
        till_code: None,
        org_resolver: Vec::new(),
        requests_per_hour: None,
        burst: 10,
        api: None,
    };
    assert_eq!(capillary_of(CAPILLARY), expect);
}

#[test]
fn what_does_not_go_together() {
    let wrong = |lines: &str, expect: &str| check(&format!("{CAPILLARY}{lines}"), &[&format!("line 5: {expect}")]);
    wrong(
        "token_env='S'",
        "`token_env` without an API: add `api_url`, where definitions are pushed to",
    );
    wrong(
        "api_url='https://api'",
        "`api_url` without what lets us in: add `token_file` or `token_env`, or `user` and a password",
    );
    wrong(
        "user='me'",
        "`user` without a password: add `password_file` or `password_env`",
    );
    wrong(
        "org_resolver={ child='1' }",
        "`org_resolver` holds `type`, `childOrgId` and `tillCode`, and no \"child\"",
    );
    wrong(
        "requests_per_hour=0",
        "`requests_per_hour` is 0: from 1 to 1000000 is wanted",
    );
    wrong(
        "actions=[]",
        "`actions` is an empty list, which would let nothing through; leave it out to have all",
    );
    wrong(
        "without_definition='hold'",
        "`without_definition` is `\"hold\"`: \"refuse\" or \"drop\" is wanted",
    );
    let exposed = "`http://` would show people's data, and what lets us in, to everyone on the way; write `https://`";
    wrong("api_url='http://api'\ntoken_env='S'", &format!("`api_url`: {exposed}"));
    check(
        "[[destination]]\nname='a'\ntype='capillary'\nurl='http://h/'",
        &[&format!("line 4: `url`: {exposed}")],
    );
    check(
        "[[destination]]\nname='a'\ntype='capillary'",
        &["line 1: `url` is missing from this `[[destination]]`"],
    );
}

#[test]
fn its_secrets_are_never_shown() {
    let text = format!("{CAPILLARY}user='me'\npassword_env='S'\napi_url='https://api'\ntoken_env='S'");
    let settings = load(&text, KEYS).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}
