//! Field tables: three ways in that must agree, and the way out.
#![no_main]

use leveret::protocol::{ArrayView, FieldTable, FieldValue, TableView};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let table = FieldTable::decode(data);
    assert_eq!(table.as_ref().err(), FieldTable::validate(data).as_ref().err());
    // Of bytes that are not valid a view shows what it can.
    let shown = TableView::new(data).count();
    let Ok(table) = table else { return };
    assert_eq!(shown, table.len());
    for ((name, value), entry) in table.iter().zip(TableView::new(data)) {
        assert_eq!(entry.key, name.as_bytes());
        same(&entry.decode().expect("the table is valid"), value);
        if let FieldValue::Array(values) = value {
            let view = ArrayView::new(entry.value);
            assert_eq!(view.clone().count(), values.len());
            for (entry, value) in view.zip(values) {
                same(&entry.decode().expect("the table is valid"), value);
            }
        }
        let found = TableView::new(data).get(name).expect("the name is there");
        same(&found.decode().expect("the table is valid"), table.get(name).expect("the name is there"));
    }
    let written = encoded(&table);
    let (length, bytes) = written.split_first_chunk().expect("the length stands in front");
    assert_eq!(u32::from_be_bytes(*length) as usize, bytes.len());
    let again = FieldTable::decode(bytes).expect("what was encoded can be decoded");
    assert_eq!(encoded(&again), written);
    assert_eq!(again.len(), table.len());
    let _texts: Vec<String> = table.iter().map(|(_, value)| value.to_string()).collect();
});

fn encoded(table: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    table.encode(&mut out);
    out
}

/// Equal as bytes, so that a float that is not a number equals itself.
fn same(one: &FieldValue, other: &FieldValue) {
    let table = |value: &FieldValue| encoded(&FieldTable::new().with("", value.clone()));
    assert_eq!(table(one), table(other));
}
