//! Damage that comes after opening is told for what it is.

use doorward_core::change::Change;
use doorward_store::StoreError;

use crate::samples::{agent, grant, tenant_id};
use crate::world::World;

#[tokio::test]
async fn a_row_that_makes_no_sense_is_damage_and_names_its_column() {
    let attempts = [
        ("UPDATE connections SET provider = '{}'", "provider"),
        ("UPDATE connections SET tenant = 'x'", "tenant"),
        ("UPDATE connections SET name = 'Not A Name'", "name"),
        ("UPDATE connections SET generation = -1", "generation"),
        ("UPDATE connections SET standing = 'fine'", "standing"),
    ];
    for (statement, column) in attempts {
        let statement = format!("{statement} WHERE name = 'fastio-1'");
        let world = World::connected().await.tampered(&statement).await;
        let Err(StoreError::Corrupt { detail }) = world.store.load_book().await else {
            panic!("{statement}")
        };
        assert!(detail.contains(column), "{detail}");
    }
}

#[tokio::test]
async fn limits_forged_into_a_row_do_not_come_back_with_the_token_door() {
    let world = World::connected().await;
    let grant = Change::GrantPut {
        tenant: tenant_id(1),
        grant: grant(1, 1),
    };
    world.commit(&[Change::AgentPut(agent(1, 1)), grant]).await;
    let forged = r#"UPDATE grants SET rights = replace(rights, '["proxy"]', '["token","proxy"]')"#;
    let world = world.tampered(forged).await;
    assert!(matches!(
        world.store.load_book().await.err(),
        Some(StoreError::Corrupt { .. })
    ));
}
