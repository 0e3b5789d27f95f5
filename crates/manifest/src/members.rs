//! How many servers hold the same data.

use serde_json::{Value as Json, json};

use crate::shape::{Definitions, Reader, Shape, Value};

/// Members of a replica set, of which a majority must agree: an even number would survive no more than the odd one below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Members(pub(crate) u32);

/// MongoDB lets seven vote; of more, some would be copies that do not count.
const ALLOWED: [u32; 4] = [1, 3, 5, 7];

impl Shape for Members {
    const WANTS: &'static str = "1, 3, 5 or 7";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        let number =
            value.get_ref().as_integer().and_then(|whole| u32::from_str_radix(whole.as_str(), whole.radix()).ok());
        number.filter(|number| ALLOWED.contains(number)).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint(
                "an odd number without quotes: a majority must agree, and an even one survives no more than one less",
            );
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(1)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "enum": ALLOWED })
    }
}
