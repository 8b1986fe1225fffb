//! The schema, who may have written it, and what is refused.

use taskbroker_database::postgres::PostgresBroker;
use taskcore::broker::{Broker, ConnectError};

use crate::rig::{Rig, SCHEMA};

/// Tables, constraints, indexes and sequences as the server tells them.
const SNAPSHOT: &str = "
    SELECT format('%s.%s %s%s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN l.collname <> 'default' THEN ' collate ' || l.collname END,
        CASE WHEN a.attnotnull THEN ' not null' END,
        CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text END,
        ' default ' || pg_get_expr(d.adbin, d.adrelid)) AS line, c.relname AS place, 1 AS kind,
        a.attnum AS number
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = '{s}'::regnamespace AND c.relkind = 'r'
    UNION ALL
    SELECT format('%s: %s', c.relname, array_to_string(c.reloptions, ', ')), c.relname, 2, 0
    FROM pg_class AS c
    WHERE c.relnamespace = '{s}'::regnamespace AND c.reloptions IS NOT NULL
    UNION ALL
    SELECT format('%s: %s', c.relname, pg_get_constraintdef(k.oid)), c.relname, 3,
        row_number() OVER (PARTITION BY c.relname ORDER BY pg_get_constraintdef(k.oid))
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE c.relnamespace = '{s}'::regnamespace
    UNION ALL
    SELECT replace(pg_get_indexdef(i.indexrelid), '{s}.', ''), c.relname, 4,
        row_number() OVER (PARTITION BY c.relname ORDER BY i.indexrelid)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace = '{s}'::regnamespace
    UNION ALL
    SELECT format('%s: sequence up to %s%s', c.relname, s.seqmax,
        CASE WHEN s.seqcycle THEN ', cycles' END), c.relname, 5, 0
    FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid
    WHERE c.relnamespace = '{s}'::regnamespace
    ORDER BY place, kind, number, line";

#[tokio::test]
async fn the_migrated_schema_is_the_one_on_file() {
    let rig = Rig::shared();
    rig.open().await.close().await.unwrap();
    let lines = rig.raw().await.texts(SNAPSHOT).await;
    // The server quotes the name of a schema only where it must.
    let schema = (lines.join("\n") + "\n").replace(&format!("{}.", rig.schema), "");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/schema.txt");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let on_file = std::fs::read_to_string(path).unwrap();
    assert_eq!(schema, on_file, "if it is meant to differ, run again with UPDATE_SCHEMA=1");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions_and_left_as_it_is() {
    let rig = Rig::shared();
    let mut raw = rig.raw().await;
    raw.run("CREATE SCHEMA {s}; CREATE TABLE {s}.schema (version bigint)").await;
    raw.run("INSERT INTO {s}.schema VALUES (99)").await;
    let error = PostgresBroker::open(rig.options()).await.unwrap_err();
    let ConnectError::NewerSchema { found, supported, .. } = &error else { panic!("{error}") };
    assert_eq!((*found, *supported), (99, SCHEMA));
    let (text, up_to) = (error.to_string(), format!("up to {SCHEMA}"));
    assert!(text.contains(&rig.schema) && text.contains("99") && text.contains(&up_to), "{text}");
    let relations = "SELECT count(*) FROM pg_class WHERE relnamespace = '{s}'::regnamespace";
    assert_eq!(raw.number(relations).await, 1);
    assert_eq!(raw.number("SELECT count(*) FROM {s}.schema").await, 1);
}
