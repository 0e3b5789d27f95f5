//! Whatever comes in, no value of a masked field goes out: planted anywhere, however deep, in every form.

#![allow(clippy::unwrap_used, reason = "a test may well panic")]

use std::collections::BTreeSet;

use manifest::Mask;
use mongodb::bson::{Bson, Document, doc};
use proptest::prelude::*;
use stores::mongo::sample::masking::{Taken, mask};
use stores::mongo::sample::proof::What;
use stores::mongo::sample::rules::Rules;

const KEY: [u8; 32] = [7; 32];

fn rules(collection: &str, fields: &[(&str, Mask)]) -> Rules {
    let fields: Vec<(String, Mask)> = fields.iter().map(|(way, mask)| ((*way).to_owned(), *mask)).collect();
    Rules::new(collection, &fields)
}

fn taken(fields: &[(&str, Mask)], documents: Vec<Document>) -> Taken {
    Taken { rules: rules("users", fields), documents }
}

/// The check digit that makes a card's number one.
fn card(beginning: u64) -> String {
    let digits = format!("4{:014}", beginning % 100_000_000_000_000);
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (u32::from(digit - b'0'), at % 2) {
            (digit, 1) => digit,
            (digit, _) if digit > 4 => 2 * digit - 9,
            (digit, _) => 2 * digit,
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[derive(Clone, Debug)]
struct Person {
    id: String,
    name: String,
    email: String,
    phone: String,
    card: String,
    street: String,
    note: String,
    amount: i64,
}

fn person() -> impl Strategy<Value = Person> {
    let name = "[A-Z][a-zäöüé]{4,9} [A-Z][a-z]{4,9}";
    (
        "[a-z0-9]{12}",
        name,
        "[a-z]{3,8}[.][a-z]{2,8}@[a-z]{3,9}[.](example|test)",
        100_000_000_u64..999_999_999,
        any::<u64>(),
        "[A-Z][a-z]{5,9}gasse [1-9][0-9]",
        "[a-z]{5,9}( [a-z]{5,9}){1,4}",
        0..1_000_000_i64,
    )
        .prop_map(|(id, name, email, phone, number, street, note, amount)| Person {
            id: format!("u-{id}"),
            name,
            email,
            phone: format!("+49 30 {phone}"),
            card: card(number),
            street,
            note,
            amount,
        })
}

fn document(person: &Person) -> Document {
    doc! {
        "_id": &person.id,
        "state": "paid",
        "contact": { "name": &person.name, "email": &person.email, "phones": [&person.phone, [&person.phone]] },
        "orders": [
            { "sku": "bell", "note": &person.note, "payment": { "card": &person.card }, "amount": person.amount },
            { "sku": "lamp", "ship": { "to": [&person.street] }, "by": &person.id, "mail": &person.email },
        ],
        "secret": { "email": &person.email, "card": &person.card },
        "card_number": person.card.parse::<i64>().unwrap(),
    }
}

const FIELDS: &[(&str, Mask)] = &[
    ("state", Mask::Keep),
    ("contact.name", Mask::Name),
    ("contact.email", Mask::Email),
    ("contact.phones", Mask::Phone),
    ("orders.sku", Mask::Keep),
    ("orders.note", Mask::Text),
    ("orders.payment.card", Mask::PaymentReference),
    ("orders.amount", Mask::NumberNoise),
    ("orders.ship.to", Mask::Address),
    ("orders.by", Mask::Id),
    ("orders.mail", Mask::Email),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_was_planted_is_in_what_leaves(people in prop::collection::vec(person(), 1..12)) {
        let masked = mask(&[taken(FIELDS, people.iter().map(document).collect())], KEY).unwrap();
        let out = &masked.collections["users"];
        prop_assert_eq!(out.len(), people.len());
        // As bytes: whatever is in a name, a list or a part that nobody thought of is found too.
        let bytes: Vec<u8> = out.iter().flat_map(|document| document.to_vec().unwrap()).collect();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for person in &people {
            for planted in [&person.id, &person.name, &person.email, &person.phone, &person.card, &person.street] {
                prop_assert!(!text.contains(&planted.to_lowercase()), "{} is in {:?}", planted, out);
            }
            let number = person.card.parse::<i64>().unwrap().to_le_bytes();
            prop_assert!(!bytes.windows(8).any(|window| window == number), "the card as a number");
        }
        for (document, person) in out.iter().zip(&people) {
            prop_assert!(document.get("secret").is_none() && document.get("card_number").is_none());
            // What is joined stays joined.
            let orders = document.get_array("orders").unwrap();
            let second = orders[1].as_document().unwrap();
            prop_assert_eq!(second.get("by"), document.get("_id"));
            prop_assert_eq!(second.get("mail"), document.get_document("contact").unwrap().get("email"));
            let amount = orders[0].as_document().unwrap().get_i64("amount").unwrap();
            prop_assert!((amount - person.amount).abs() <= person.amount / 10 + 1);
        }
        // Different people stay different, and the same key makes the same of them.
        let ids = out.iter().map(|document| document.get_str("_id").unwrap()).collect::<BTreeSet<_>>();
        let before = people.iter().map(|person| &person.id).collect::<BTreeSet<_>>();
        prop_assert_eq!(ids.len(), before.len());
        let again = mask(&[taken(FIELDS, people.iter().map(document).collect())], KEY).unwrap();
        prop_assert_eq!(&again.collections["users"], out);
        let other = mask(&[taken(FIELDS, people.iter().map(document).collect())], [8; 32]).unwrap();
        prop_assert_ne!(&other.collections["users"], out);
    }

    #[test]
    fn what_would_leave_by_a_field_that_is_kept_is_refused(person in person(), which in 0..6_usize) {
        let (text, what) = match which {
            0 => (format!("write to {}!", person.email.to_uppercase()), What::Email),
            1 => (format!("paid with {} {} {} {}", &person.card[..4], &person.card[4..8], &person.card[8..12], &person.card[12..]), What::Card),
            2 => (format!("call {}", person.phone.replace(' ', "-")), What::Phone),
            3 => (format!("{} rang", person.name), What::Value(Mask::Name)),
            4 => (format!("moved to {}", person.street), What::Value(Mask::Address)),
            _ => (format!("see {}", person.id), What::Value(Mask::Id)),
        };
        let mut document = document(&person);
        document.insert("log", vec![Bson::from(doc! { "said": text })]);
        let fields = [FIELDS, &[("log.said", Mask::Keep)]].concat();
        let leaks = mask(&[taken(&fields, vec![document])], KEY).unwrap_err();
        prop_assert!(leaks.iter().any(|leak| leak.field == "log.said" && leak.what == what), "{:?}", leaks);
        prop_assert!(leaks.iter().all(|leak| leak.field == "log.said"), "{:?}", leaks);
    }
}

#[test]
fn a_field_that_is_not_named_does_not_leave_and_is_told() {
    let document =
        doc! { "_id": 7, "a": { "b": "x", "c": "y" }, "d": [1, { "e": 2 }], "f": "z", "g": Bson::Null, "h": [] };
    let fields =
        [("a.b", Mask::Keep), ("d", Mask::Keep), ("f.below", Mask::Keep), ("g", Mask::Email), ("h.i", Mask::Keep)];
    let masked = mask(&[taken(&fields, vec![document])], KEY).unwrap();
    let out = &masked.collections["users"][0];
    assert_eq!(out.get_document("a").unwrap(), &doc! { "b": "x" });
    // A document under a name that is kept: what of it leaves was not said.
    assert_eq!(out.get_array("d").unwrap(), &[Bson::Int32(1)]);
    assert_eq!((out.get("f"), out.get("g"), out.get_array("h").map(Vec::len).ok()), (None, Some(&Bson::Null), Some(0)));
    assert_ne!(out.get("_id"), Some(&Bson::Int32(7)));
    assert_eq!(masked.left_out["users"], ["a.c", "d", "f"].map(str::to_owned).into());
}

#[test]
fn identifiers_keep_their_type_and_form() {
    use mongodb::bson::oid::ObjectId;
    let id = ObjectId::new();
    let uuid = "0b54c2f8-9b1e-4a3c-8d5e-1f2e3d4c5b6a";
    let document = doc! { "_id": id, "uuid": uuid, "long": 4_000_000_000_i64, "int": 1_234_567, "kept": true };
    let fields = [("uuid", Mask::Id), ("long", Mask::Id), ("int", Mask::Id), ("kept", Mask::Keep)];
    let out = mask(&[taken(&fields, vec![document])], KEY).unwrap().collections.remove("users").unwrap().remove(0);
    assert_ne!(out.get_object_id("_id").unwrap(), id);
    let masked = out.get_str("uuid").unwrap();
    assert!(masked != uuid && masked.len() == 36 && masked.as_bytes()[14] == b'4', "{masked}");
    assert_ne!(out.get_i64("long").unwrap(), 4_000_000_000);
    assert_ne!(out.get_i32("int").unwrap(), 1_234_567);
}

#[test]
fn a_sample_of_two_collections_is_joined_and_searched_as_one() {
    let users = Taken { rules: rules("users", &[]), documents: vec![doc! { "_id": "customer-0815" }] };
    let orders = |mask| Taken {
        rules: rules("orders", &[("by", mask)]),
        documents: vec![doc! { "_id": 1, "by": "customer-0815" }],
    };
    let masked = mask(&[users.clone(), orders(Mask::Id)], KEY).unwrap();
    assert_eq!(masked.collections["orders"][0].get("by"), masked.collections["users"][0].get("_id"));
    let leaks = mask(&[users, orders(Mask::Keep)], KEY).unwrap_err();
    assert_eq!(
        leaks.iter().map(|leak| (leak.collection.as_str(), leak.field.as_str())).collect::<Vec<_>>(),
        [("orders", "by")]
    );
}
