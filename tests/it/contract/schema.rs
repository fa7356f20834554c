//! The migrations: what they create, that they can be reverted, and that `src/db/schema.rs` follows them.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::sql_types::{Array, Bool, Text};
use diesel::{QueryableByName, RunQueryDsl as _};
use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};
use keyward::audit::{ActorType, Outcome};
use keyward::auth::{OrgRole, PlatformRole};
use keyward::notifications::Link;
use keyward::orgs::JoinPolicy;

use crate::support::TestApp;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The only column, `line`, of all rows.
fn lines(connection: &mut PgConnection, sql: &str) -> BTreeSet<String> {
    let rows: Vec<Line> = diesel::sql_query(sql).load(connection).unwrap();
    rows.into_iter().map(|row| row.line).collect()
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    primary_key: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

/// Columns in their order, with the names that diesel gives to columns and types.
const COLUMNS: &str = "\
    WITH columns AS (
        SELECT attrelid, attnum, attname, atttypid, attnotnull,
               attname || CASE WHEN attname = 'type' THEN '_' ELSE '' END AS field
        FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
    )
    SELECT relname::text AS table_name, field AS column_name, typname::text AS type_name, NOT attnotnull AS nullable,
           (SELECT string_agg(field, ', ' ORDER BY array_position(conkey, attnum)) FROM pg_constraint, columns
            WHERE conrelid = pg_class.oid AND contype = 'p' AND attrelid = conrelid AND attnum = ANY (conkey)) AS primary_key
    FROM pg_class JOIN columns ON attrelid = pg_class.oid JOIN pg_type ON pg_type.oid = atttypid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '\\_\\_%'
    ORDER BY relname, attnum";

impl Column {
    /// The type in diesel's notation: that of PostgreSQL with a capital, where `_` stands for an array.
    fn diesel_type(&self) -> String {
        let capitalised = |name: &str| name[..1].to_uppercase() + &name[1..];
        let plain = self.type_name.strip_prefix('_').map_or_else(
            || capitalised(&self.type_name),
            |element| format!("Array<{}>", capitalised(element)),
        );
        if self.nullable {
            format!("Nullable<{plain}>")
        } else {
            plain
        }
    }
}

#[actix_web::test]
async fn schema_rs_has_the_tables_and_column_types_of_the_database() {
    let app = TestApp::start();
    let columns: Vec<Column> = diesel::sql_query(COLUMNS).load(&mut app.connect()).unwrap();
    let mut database: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for column in columns {
        let field = format!("{} -> {},", column.column_name, column.diesel_type());
        let table = format!("{} ({}) {{", column.table_name, column.primary_key);
        database.entry(table).or_default().push(field);
    }
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/schema.rs"));
    let mut code: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in text.split("diesel::table! {\n").skip(1) {
        let mut lines = table.split("\n    }").next().unwrap().lines().map(str::trim);
        let head = lines.next().unwrap().to_owned();
        let fields = lines.filter(|line| line.contains(" -> ")).map(str::to_owned);
        code.insert(head, fields.collect());
    }
    assert_eq!(code, database);
}

#[actix_web::test]
async fn every_foreign_key_has_an_index_on_its_referencing_column() {
    let app = TestApp::start();
    // A partial index serves if its only condition is that the column is not null: the lookups of a foreign key imply that.
    let missing = lines(
        &mut app.connect(),
        "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(pg_constraint.oid) AS line
         FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
         WHERE contype = 'f' AND NOT EXISTS (
             SELECT FROM pg_index
             WHERE indrelid = conrelid AND indisvalid
               AND (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey
               AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%I IS NOT NULL)', attname)))",
    );
    assert_eq!(missing, BTreeSet::new());
}

#[actix_web::test]
async fn every_table_function_and_trigger_has_a_comment() {
    let app = TestApp::start();
    let missing = lines(
        &mut app.connect(),
        "SELECT pg_describe_object(class, id, 0) AS line FROM (
             SELECT 'pg_class'::regclass, oid FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '\\_\\_%'
             UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'keyward%'
             UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal
         ) AS objects (class, id)
         WHERE NOT EXISTS (SELECT FROM pg_description WHERE classoid = class AND objoid = id AND objsubid = 0)",
    );
    assert_eq!(missing, BTreeSet::new());
}

#[derive(QueryableByName)]
struct Check {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    condition: String,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    types: Vec<String>,
    #[diesel(sql_type = Array<Bool>)]
    nullable: Vec<bool>,
}

fn checks(connection: &mut PgConnection) -> Vec<Check> {
    let checks = diesel::sql_query(
        "SELECT conrelid::regclass || '.' || conname AS name, pg_get_expr(conbin, conrelid) AS condition,
                array_agg(attname::text) AS columns, array_agg(format_type(atttypid, atttypmod)) AS types,
                array_agg(NOT attnotnull) AS nullable
         FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
         WHERE contype = 'c' AND connamespace = 'public'::regnamespace
         GROUP BY pg_constraint.oid, conrelid, conname, conbin",
    );
    checks.load(connection).unwrap()
}

impl Check {
    /// A query that is true if some values of the columns violate the CHECK.
    fn can_fail(&self) -> String {
        let columns = self.columns.iter().zip(&self.types).zip(&self.nullable);
        let values = columns.map(|((column, kind), nullable)| {
            let value = match kind.as_str() {
                "text" => "'', 'A', repeat('x', 1000)",
                "uuid" => "gen_random_uuid()",
                "timestamp with time zone" => "now()",
                "bytea" => "'\\x00'",
                "bigint" | "integer" => "-1",
                "boolean" => "false",
                "cidr" => "'192.0.2.0/24'",
                other => panic!("{}: give an example of {other}", self.name),
            };
            let null = if *nullable { ", NULL" } else { "" };
            format!("unnest(ARRAY[{value}{null}]::{kind}[]) AS of_{column} ({column})")
        });
        let values: Vec<String> = values.collect();
        let condition = &self.condition;
        format!("SELECT FROM {} WHERE ({condition}) IS FALSE", values.join(", "))
    }
}

#[actix_web::test]
async fn every_check_constraint_can_fail() {
    let app = TestApp::start();
    let mut connection = app.connect();
    let checks = checks(&mut connection);
    assert!(checks.len() > 20);
    for check in checks {
        let failing = format!("SELECT 'found' AS line WHERE EXISTS ({})", check.can_fail());
        assert_eq!(lines(&mut connection, &failing).len(), 1, "{} cannot fail", check.name);
    }
}

#[actix_web::test]
async fn check_constraints_list_the_values_of_the_enums_that_are_stored() {
    let app = TestApp::start();
    let org_roles: Vec<&str> = OrgRole::ALL.iter().map(|role| role.as_str()).collect();
    let stored = [
        (
            "users.users_role_check",
            PlatformRole::ALL.iter().map(|role| role.as_str()).collect(),
        ),
        ("memberships.memberships_role_check", org_roles.clone()),
        ("invitations.invitations_role_check", org_roles),
        (
            "audit_log.audit_log_actor_type_check",
            ActorType::ALL.iter().map(|kind| kind.as_str()).collect(),
        ),
        (
            "audit_log.audit_log_result_check",
            Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect(),
        ),
        (
            "orgs.orgs_join_policy_check",
            JoinPolicy::ALL.iter().map(|policy| policy.as_str()).collect(),
        ),
        (
            "one_time_tokens.one_time_tokens_check",
            Link::ALL.iter().map(|link| link.purpose().as_str()).collect(),
        ),
    ];
    let code: BTreeMap<String, BTreeSet<String>> = stored
        .into_iter()
        .map(|(check, values): (_, Vec<&str>)| (check.to_owned(), values.into_iter().map(str::to_owned).collect()))
        .collect();
    let mut database: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for check in checks(&mut app.connect()) {
        let is_list = check.condition.contains("= ANY (ARRAY[") || check.condition.contains("CASE ");
        if is_list {
            // In `'a'::text, 'b'::text` the quoted values are every second piece.
            let values = check.condition.split('\'').skip(1).step_by(2).map(str::to_owned);
            database.insert(check.name, values.collect());
        }
    }
    assert_eq!(code, database);
}

/// A line for each object in the schema `public`, with its definition and its comment.
fn schema_objects(connection: &mut PgConnection) -> BTreeSet<String> {
    lines(
        connection,
        "SELECT format('relation %s %s', oid::regclass, relkind) AS line FROM pg_class
         WHERE relnamespace = 'public'::regnamespace
         UNION ALL SELECT format('column %s.%s %s not null %s default %s', attrelid::regclass, attname,
                format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
         FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
              LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
         UNION ALL SELECT format('constraint %s on %s %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
         UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
         UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT format('comment on %s: %s', pg_describe_object(classoid, objoid, objsubid), description)
         FROM pg_description WHERE objoid >= 16384",
    )
}

#[actix_web::test]
async fn each_migration_can_be_reverted_and_applied_again() {
    let app = TestApp::start_unmigrated();
    let mut connection = app.connect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let migrations = FileBasedMigrations::from_path(folder).unwrap();
    // The first call creates the table of diesel, which no migration drops.
    let mut pending = connection.pending_migrations(migrations.clone()).unwrap().len();
    let mut earlier = Vec::new();
    while pending > 0 {
        earlier.push(schema_objects(&mut connection));
        connection.run_next_migration(migrations.clone()).unwrap();
        pending -= 1;
    }
    let complete = schema_objects(&mut connection);
    for expected in earlier.iter().rev() {
        let reverted = connection.revert_last_migration(migrations.clone()).unwrap();
        let found = schema_objects(&mut connection);
        let differences: Vec<_> = found.symmetric_difference(expected).collect();
        assert!(differences.is_empty(), "{reverted}: {differences:#?}");
    }
    connection.run_pending_migrations(migrations).unwrap();
    assert_eq!(schema_objects(&mut connection), complete);
}

#[actix_web::test]
async fn a_delete_cannot_violate_a_foreign_key() {
    let app = TestApp::start();
    let blocking = lines(
        &mut app.connect(),
        "SELECT conname::text AS line FROM pg_constraint
         WHERE contype = 'f' AND confdeltype NOT IN ('c', 'n') AND NOT condeferrable",
    );
    assert_eq!(blocking, BTreeSet::new());
}
