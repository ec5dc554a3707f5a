//! Conditions on carries: whether a node runs at all.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

/// A test of one carry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// The carry's name.
    pub carry: String,
    /// What must be so.
    pub test: Test,
}

/// What must be so of a carry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// It is there and equal.
    Equals(Value),
    /// It is not there, or not equal.
    NotEquals(Value),
    /// It is there, or it is not.
    Exists(bool),
    /// It is a number, or a list of a length, of at least this.
    AtLeast(f64),
}

/// Returns whether a condition holds for the carries at hand.
pub fn eval(condition: &Condition, carries: &BTreeMap<String, Value>) -> bool {
    let found = carries.get(&condition.carry).filter(|value| !value.is_null());
    match &condition.test {
        Test::Equals(value) => found.is_some_and(|found| same(found, value)),
        Test::NotEquals(value) => !found.is_some_and(|found| same(found, value)),
        Test::Exists(wanted) => found.is_some() == *wanted,
        Test::AtLeast(least) => found.and_then(size).is_some_and(|size| size >= *least),
    }
}

/// `1` and `1.0` are the same number, whoever wrote them.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn size(value: &Value) -> Option<f64> {
    match value {
        Value::Array(items) => u32::try_from(items.len()).ok().map(f64::from),
        other => other.as_f64(),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carry = &self.carry;
        match &self.test {
            Test::Equals(value) => write!(f, "{carry} equals {value}"),
            Test::NotEquals(value) => write!(f, "{carry} does not equal {value}"),
            Test::Exists(true) => write!(f, "{carry} exists"),
            Test::Exists(false) => write!(f, "{carry} does not exist"),
            Test::AtLeast(least) => write!(f, "{carry} is at least {least}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::condition::{Condition, Test, eval};

    fn holds(test: Test, value: Option<Value>) -> bool {
        let carries = value.map(|value| ("c".to_owned(), value)).into_iter().collect();
        eval(&Condition { carry: "c".to_owned(), test }, &carries)
    }

    #[test]
    fn equality() {
        assert!(holds(Test::Equals(json!("big")), Some(json!("big"))));
        assert!(holds(Test::Equals(json!(1)), Some(json!(1.0))));
        assert!(!holds(Test::Equals(json!("big")), None));
        assert!(holds(Test::NotEquals(json!("big")), None));
        assert!(!holds(Test::NotEquals(json!(true)), Some(json!(true))));
    }

    #[test]
    fn existence() {
        assert!(holds(Test::Exists(true), Some(json!(""))));
        assert!(!holds(Test::Exists(true), Some(Value::Null)));
        assert!(holds(Test::Exists(false), None));
    }

    #[test]
    fn size() {
        assert!(holds(Test::AtLeast(2.0), Some(json!([1, 2]))));
        assert!(!holds(Test::AtLeast(2.0), Some(json!([1]))));
        assert!(holds(Test::AtLeast(0.5), Some(json!(0.5))));
        assert!(!holds(Test::AtLeast(0.0), None));
        assert!(!holds(Test::AtLeast(0.0), Some(json!("many"))));
    }
}
