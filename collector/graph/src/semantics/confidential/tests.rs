//! What is masked, and what of it is held against the sender.

use super::*;

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N";

/// What is stored of a value, and what is held against the sender.
fn check(key: &str, value: &str, expected: &str, kinds: &[SecretKind]) {
    let masked = mask(of_key(key), value);
    assert_eq!(masked.text, expected, "{key}={value}");
    assert_eq!(masked.kinds.iter().collect::<Vec<_>>(), kinds, "{key}={value}");
    check_sealed(key, value, &masked);
}

/// What is masked is what is sealed, and a sealed value is read as the value itself.
fn check_sealed(key: &str, value: &str, masked: &Masked<'_>) {
    let sealed = Sealing::default().value(key, value);
    assert_eq!(sealed.is_some(), masked.is_less, "{key}={value}");
    let Some(sealed) = sealed else { return };
    let read = mask(of_key(key), &sealed);
    assert_eq!((&read.text, read.kinds), (&masked.text, masked.kinds), "{key}={value}");
}

const CREDENTIAL: &[SecretKind] = &[SecretKind::Credential];
const CARD: &[SecretKind] = &[SecretKind::CardNumber];
const EMAIL: &[SecretKind] = &[SecretKind::EmailAddress];

#[test]
fn credentials_are_masked_and_found() {
    check("http.request.header.authorization", "Bearer abc123def456", MASK, CREDENTIAL);
    check("http.request.header.authorization", "Bearer <token>", MASK, &[]);
    check("http.request.header.authorization", "[\"Basic dXNlcjpwYXNz\"]", MASK, CREDENTIAL);
    check("http.request.header.cookie", "session=8f14e45f", MASK, CREDENTIAL);
    check("api_key", "9f86d081884c7d659a2feaa0c55ad015", MASK, CREDENTIAL);
    check("db.password", "hunter2", MASK, CREDENTIAL);
    check("note", "Bearer 2YotnFZFEjr1zCsicMWpAA", MASK, CREDENTIAL);
    check("note", "Bearer abcdefghijkl", MASK, &[]);
    check("note", JWT, MASK, CREDENTIAL);
    check("note", &format!("failed for {JWT}, again"), "failed for [masked], again", CREDENTIAL);
    check("note", "AKIAIOSFODNN7ABCDEFG", MASK, CREDENTIAL);
    check("stripe", "sk_live_51H8xYzAbCdEf", MASK, CREDENTIAL);
    check("note", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", MASK, CREDENTIAL);
    check(
        "db.connection_string",
        "Server=db;User=a;Password=s3cr3t!;",
        "Server=db;User=a;Password=[masked];",
        CREDENTIAL,
    );
    check("db.query.text", "UPDATE u SET password = 'hunter2x'", "UPDATE u SET password = '[masked]'", CREDENTIAL);
    check("body", r#"{"user":"a","password":"hunter2x"}"#, r#"{"user":"a","password":"[masked]"}"#, CREDENTIAL);
    check("body", r#"{\"api_key\": \"abcdef123\"}"#, r#"{\"api_key\": \"[masked]\"}"#, CREDENTIAL);
}

#[test]
fn credentials_in_urls_are_masked_and_found() {
    check("url.full", "https://u:p4ss@h/x?q=1", "https://[masked]@h/x?q=1", CREDENTIAL);
    check("url.full", "https://u@h/x", "https://[masked]@h/x", &[]);
    check("url.full", "https://h/x?q=1&token=abc123def", "https://h/x?q=1&token=[masked]", CREDENTIAL);
    check("url.full", "https://h/x?token=abc", "https://h/x?token=[masked]", &[]);
    check("url.query", "client_secret=a1b2c3d4&x=1", "client_secret=[masked]&x=1", CREDENTIAL);
    check(
        "url.full",
        "https://h/x?q=1&X-Amz-Signature=0a1b2c3d#f",
        "https://h/x?q=1&X-Amz-Signature=[masked]#f",
        CREDENTIAL,
    );
    check("url.full", "https://h/x?x-goog-signature=0a1b2c3d", "https://h/x?x-goog-signature=[masked]", CREDENTIAL);
    check("url.full", "https://h/?key=AbCdEf0123456789", "https://h/?key=[masked]", CREDENTIAL);
    check("url.full", "https://h/?code=DE&key=name", "https://h/?code=[masked]&key=[masked]", &[]);
    check("url.full", "amqp://guest:guest@rabbit:5672/", "amqp://[masked]@rabbit:5672/", CREDENTIAL);
}

#[test]
fn what_only_looks_like_a_credential_is_no_finding() {
    check("api_key", "REDACTED", MASK, &[]);
    check("api_key", "[masked]", MASK, &[]);
    check("password", "********", MASK, &[]);
    check("openai.api_key", "sk-...wXyZ", MASK, &[]);
    check("api_key", "sk-proj-7Gh2kLm9…", MASK, &[]);
    check("token", "expired", MASK, &[]);
    check("token", "test-token", MASK, &[]);
    check("api_key", "your-api-key", MASK, &[]);
    check("password", "5f4dcc3b5aa765d61d8327deb882cf99", MASK, &[]);
    check("auth_token", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", MASK, &[]);
    check("stripe", "sk_test_51H8xYzAbCdEf", MASK, &[]);
    check("note", "AKIAIOSFODNN7EXAMPLE", MASK, &[]);
    check("api_key", "", "", &[]);
    for (key, value) in [
        ("gen_ai.usage.input_tokens", "12"),
        ("url.full", "https://h/x?q=1&page=2"),
        ("url.query", "page_token=abcdef123456&csrf_token=abcdef123456"),
        ("db.query.text", "SELECT a FROM u WHERE password = ? AND token = $1 AND key = s.token"),
        ("note", "the bearer of news, Basic authentication, and the token: none"),
        ("k8s.secret.name", "orders-db-credentials"),
        ("http.route", "/oauth/token"),
    ] {
        check(key, value, value, &[]);
    }
}

#[test]
fn card_numbers_are_told_from_other_numbers() {
    check("note", "paid with 4111 1111 1111 1111 today", "paid with [masked] today", CARD);
    check("note", "3782-822463-10005", MASK, CARD);
    check("payment.card_number", "4111111111111111", MASK, CARD);
    check("body", r#"{"card":"5555555555554444"}"#, r#"{"card":"[masked]"}"#, CARD);
    for (key, value) in [
        ("order.id", "4111 1111 1111 1111"),
        ("order", "4111111111111111"),
        ("note", "4111 1111 1111 1112"),
        ("start", "1732171808000000000"),
        ("note", "1234 5678 9012 3452"),
        ("payment.card_number", "0000000000000000"),
        ("trace", "4111-1111-1111-1111-1111"),
        ("amount", "4111.1111111111111"),
    ] {
        check(key, value, value, &[]);
    }
}

#[test]
fn email_addresses_are_told_from_hosts() {
    check("user.email", "alice@example.com", MASK, EMAIL);
    check("note", "sent to bob.smith+x@mail.co.uk.", "sent to [masked].", EMAIL);
    check("url.full", "/u?email=bob%40mail.com", "/u?email=[masked]", EMAIL);
    check("user.email", "test@example.com", MASK, &[]);
    for (key, value) in [
        ("note", "celery@worker-1"),
        ("note", "left-pad@1.3.0"),
        ("note", "logo@2x.png"),
        ("messaging.client.id", "consumer@ip-10-0-0-1.ec2.com"),
        ("note", "app@orders.svc.cluster.local"),
        ("note", "com.shop.Order@1a2b3c"),
        ("note", "@"),
    ] {
        check(key, value, value, &[]);
    }
}

#[test]
fn any_text_is_read_to_its_end() {
    for text in
        ["=", ":", "a=", "=a", "\"a\":\"", "token='", "://@", "é@é.com", "token=é", "Bearer ", "4", "%40", "-", "\\"]
    {
        mask(Confidentiality::Unknown, text);
        mask_name(&format!("{text}{text}"));
    }
}

#[test]
fn seals_tell_secrets_apart_and_give_nothing_away() {
    let sealing = Sealing::default();
    let sealed = |text: &str| sealing.clone().text(text).unwrap();
    let (one, other) = ("AKIAIOSFODNN7ABCDEFG", "AKIAIOSFODNN7ABCDEFH");
    assert_eq!(sealed(one), sealed(one));
    assert_ne!(sealed(one), sealed(other));
    assert_ne!(sealed(one), Sealing::default().text(one).unwrap());
    let text = sealed(&format!("first {one}, then {other}"));
    assert!(text.starts_with("first ") && !text.contains("AKIA"), "{text}");
    let mut sealing = sealing.clone();
    for _ in 0..2 {
        assert_eq!(sealing.text("nothing to hide"), None);
        assert_eq!(sealing.value("note", "hunter22"), None);
        assert!(sealing.value("db.password", "hunter22").is_some());
    }
    // A card number is found only beside a word that speaks of cards, its seal wherever it stands.
    let card = sealing.value("payment.card_number", "4111111111111111").unwrap();
    assert_eq!(mask_name(&card).kinds.iter().collect::<Vec<_>>(), CARD);
    for cut in [&card[..card.len() - 4], &card[4..]] {
        assert_eq!(mask_name(cut).text, cut);
    }
}

/// X-Ray names a query after where it goes; whoever seals the name does not know that it is one.
#[test]
fn what_was_sealed_in_a_technical_text_is_nothing_personal() {
    let sealed = Sealing::default().text("orders@db.shop.com").unwrap();
    let read = mask(Confidentiality::Technical, &sealed);
    assert_eq!((&*read.text, read.kinds), (MASK, Kinds::default()));
    let sealed = Sealing::default().text("AKIAIOSFODNN7ABCDEFG").unwrap();
    assert_eq!(mask(Confidentiality::Technical, &sealed).kinds.iter().collect::<Vec<_>>(), CREDENTIAL);
}
