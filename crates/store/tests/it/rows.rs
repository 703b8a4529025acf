//! Rows come back as they were written, all of a commit or none.

use doorward_core::asking::{Always, Answer};
use doorward_core::book::Book;
use doorward_core::change::Change;
use doorward_core::connection::{Connection, Standing};
use doorward_core::ids::AnswerId;
use doorward_store::StoreError;

use crate::samples::{
    NOW, agent, agent_id, agent_key, answer, connection, connection_id, event, grant, key_record,
    lock, lock_token, one_of_each, outbox_id, outbox_item, registration, registration_id, request,
    tenant, tenant_id, tokens,
};
use crate::world::World;

fn applied(changes: &[Change]) -> Book {
    let mut book = Book::default();
    for change in changes {
        book.apply(change);
    }
    book
}

/// A book as text that can be compared.
fn told(book: &Book) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(book.tenants().map(|row| format!("{row:?}")));
    lines.extend(book.registrations().map(|row| format!("{row:?}")));
    lines.extend(book.connections().map(|row| format!("{row:?}")));
    lines.extend(book.outbox().map(|row| format!("{row:?}")));
    lines.extend(book.locks().map(|row| format!("{row:?}")));
    lines.extend(book.clients().map(|row| format!("{row:?}")));
    lines.extend(book.agents().map(|row| format!("{row:?}")));
    lines.extend(
        book.keys()
            .map(|row| format!("{row:?} {:?}", row.hash.as_bytes())),
    );
    lines.extend(book.grants().map(|row| format!("{row:?}")));
    let answers = book.grants().flat_map(|grant| book.answers_of(grant.id));
    lines.extend(answers.map(|row| format!("{row:?}")));
    lines.extend(
        book.requests()
            .map(|row| format!("{row:?} {:?}", row.device_code.as_bytes())),
    );
    lines
}

#[tokio::test]
async fn a_row_of_every_kind_comes_back_as_it_was_written() {
    let world = World::new().await;
    let changes = one_of_each();
    world.commit(&changes).await;
    let world = world.meanwhile(async |_| {}).await;
    let loaded = world.store.load().await.unwrap();
    assert_eq!(told(&loaded.book), told(&applied(&changes)));
    assert!(loaded.wont_open.is_empty());
    let access: Vec<_> = loaded
        .access
        .iter()
        .map(|(id, token)| (*id, token.expose()))
        .collect();
    assert_eq!(
        access,
        [(connection_id(1), "access-token-1-of-generation-1")]
    );
    let secrets = world
        .store
        .registration_secrets(registration_id(1))
        .await
        .unwrap();
    assert_eq!(secrets.secret.unwrap().expose(), "client-secret-1");
    assert_eq!(secrets.token.unwrap().expose(), "registration-token-1");
    let (access, refresh) = world
        .store
        .outbox_tokens(tenant_id(1), outbox_id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (access.expose(), refresh.unwrap().expose()),
        ("owed-access", "owed-refresh")
    );
    let token = world.store.lock_token(&lock(1)).await.unwrap().unwrap();
    assert_eq!(token.expose(), lock_token(1));
}

#[tokio::test]
async fn a_row_written_again_takes_the_place_of_the_old_one() {
    let world = World::new().await;
    let mut changes = one_of_each();
    let renamed = Connection {
        name: "renamed".parse().unwrap(),
        standing: Standing::ReconnectRequired {
            why: "it ended".to_owned(),
            since: NOW,
        },
        account: None,
        session: None,
        refreshing: None,
        access_expires_at: None,
        proven_at: None,
        trouble: None,
        end_told: None,
        ..connection(1, 2)
    };
    let mut item = outbox_item(1);
    (item.next_try, item.last_error, item.session) = (None, None, None);
    let mut key = key_record(1);
    (
        key.audience,
        key.expires_at,
        key.idle_seconds,
        key.last_used_at,
    ) = (None, None, None, None);
    key.revoked_at = Some(NOW);
    key.metrics = false;
    let mut asked = request(9);
    asked.program = None;
    let mut registered = registration(1);
    registered.secret_expires_at = None;
    changes.push(Change::RegistrationPut {
        registration: registered,
        secret: None,
        token: None,
    });
    changes.push(Change::ConnectionPut(Box::new(renamed)));
    changes.push(Change::OutboxPut(Box::new(item)));
    changes.push(Change::KeyPut(key));
    changes.push(Change::RequestPut(Box::new(asked)));
    changes.push(Change::AnswerPut {
        tenant: tenant_id(1),
        answer: Answer {
            id: AnswerId::from_random([0x9f; 16]),
            says: Always::Deny,
            ..answer(1)
        },
    });
    world.commit(&changes).await;
    let world = world.meanwhile(async |_| {}).await;
    assert_eq!(
        told(&world.store.load().await.unwrap().book),
        told(&applied(&changes))
    );
    let secrets = world
        .store
        .registration_secrets(registration_id(1))
        .await
        .unwrap();
    assert!(secrets.secret.is_none() && secrets.token.is_none());
}

#[tokio::test]
async fn what_is_erased_is_gone_as_in_the_book() {
    let world = World::new().await;
    let mut changes = one_of_each();
    changes.extend([
        Change::GrantErased {
            tenant: tenant_id(1),
            grant: grant(1, 1).id,
        },
        Change::GrantPut {
            tenant: tenant_id(1),
            grant: grant(1, 1),
        },
        Change::AgentErased {
            tenant: tenant_id(1),
            agent: agent_id(1),
        },
        Change::ClientErased(agent_id(9)),
        Change::RequestErased(request(9).id),
        Change::OutboxErased {
            tenant: tenant_id(1),
            item: outbox_id(1),
        },
        Change::ConnectionErased {
            tenant: tenant_id(1),
            connection: connection_id(1),
        },
    ]);
    world.commit(&changes).await;
    let book = world.store.load_book().await.unwrap();
    assert_eq!(told(&book), told(&applied(&changes)));
    assert!(
        book.key(&agent_key(1).hash()).is_some(),
        "a revoked agent's keys are told from unknown ones"
    );
}

#[tokio::test]
async fn a_connection_takes_its_grants_with_it() {
    let world = World::new().await;
    let mut changes = one_of_each();
    changes.push(Change::ConnectionErased {
        tenant: tenant_id(1),
        connection: connection_id(1),
    });
    world.commit(&changes).await;
    assert_eq!(
        told(&world.store.load_book().await.unwrap()),
        told(&applied(&changes))
    );
}

#[tokio::test]
async fn an_answer_goes_with_its_grant_and_alone() {
    let own = |answer| Change::AnswerErased {
        tenant: tenant_id(1),
        answer,
    };
    for (erased, left) in [
        (own(answer(1).id), 0),
        (own(AnswerId::from_random([1; 16])), 1),
        (
            Change::AnswerErased {
                tenant: tenant_id(2),
                answer: answer(1).id,
            },
            1,
        ),
        (
            Change::GrantErased {
                tenant: tenant_id(1),
                grant: grant(1, 1).id,
            },
            0,
        ),
    ] {
        let world = World::new().await;
        world.commit(&one_of_each()).await;
        world.commit(&[erased]).await;
        // Putting the grant again brings nothing back.
        world
            .commit(&[Change::GrantPut {
                tenant: tenant_id(1),
                grant: grant(1, 1),
            }])
            .await;
        let book = world.store.load_book().await.unwrap();
        assert_eq!(book.answers_of(grant(1, 1).id).count(), left);
    }
}

#[tokio::test]
async fn a_commit_that_fails_in_its_middle_writes_nothing() {
    let world = World::connected().await;
    let before = told(&world.store.load_book().await.unwrap());
    let audit_before = world.store.verify_audit().await.unwrap();
    let mut clash = connection(3, 1);
    clash.tenant = tenant_id(1);
    clash.name = "fastio-2".parse().unwrap();
    let changes = [
        Change::TenantPut(tenant(4)),
        tokens(1, 2),
        Change::ConnectionPut(Box::new(clash)),
        tokens(2, 2),
    ];
    let refused = world
        .store
        .commit(NOW, &changes, &[event(1)])
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StoreError::Contradiction { .. }),
        "{refused}"
    );
    assert_eq!(told(&world.store.load_book().await.unwrap()), before);
    assert_eq!(world.access_token(1).await.unwrap().0, 1);
    assert_eq!(world.store.verify_audit().await.unwrap(), audit_before);
    world.commit(&[tokens(1, 2)]).await;
    assert_eq!(world.access_token(1).await.unwrap().0, 2);
}

#[tokio::test]
async fn nothing_changes_its_tenant_and_no_grant_reaches_across() {
    let world = World::connected().await;
    world
        .commit(&[
            Change::AgentPut(agent(1, 1)),
            Change::GrantPut {
                tenant: tenant_id(1),
                grant: grant(1, 1),
            },
        ])
        .await;
    let mut moved = connection(1, 1);
    moved.tenant = tenant_id(2);
    let mut other = grant(2, 2);
    other.agent = agent_id(1);
    let attempts = [
        Change::ConnectionPut(Box::new(moved)),
        Change::AgentPut(agent(1, 2)),
        Change::GrantPut {
            tenant: tenant_id(2),
            grant: grant(1, 1),
        },
        Change::GrantPut {
            tenant: tenant_id(1),
            grant: other.clone(),
        },
        Change::GrantPut {
            tenant: tenant_id(2),
            grant: other,
        },
        Change::AnswerPut {
            tenant: tenant_id(2),
            answer: answer(1),
        },
    ];
    for (n, attempt) in attempts.into_iter().enumerate() {
        let refused = world.store.commit(NOW, &[attempt], &[]).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Contradiction { .. }),
            "{n}: {refused}"
        );
    }
    world
        .commit(&[
            Change::GrantErased {
                tenant: tenant_id(2),
                grant: grant(1, 1).id,
            },
            Change::AgentErased {
                tenant: tenant_id(2),
                agent: agent_id(1),
            },
            Change::ConnectionErased {
                tenant: tenant_id(2),
                connection: connection_id(1),
            },
            Change::TokensErased {
                tenant: tenant_id(2),
                connection: connection_id(1),
            },
        ])
        .await;
    let book = world.store.load_book().await.unwrap();
    assert!(
        book.grant(agent_id(1), connection_id(1)).is_some(),
        "another tenant's erasing erases nothing"
    );
    assert!(world.access_token(1).await.is_some());
}

#[tokio::test]
async fn a_store_can_be_used_from_several_tasks() {
    let world = World::connected().await;
    let mut tasks = Vec::new();
    for generation in 2..20 {
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move {
            store
                .commit(NOW, &[tokens(1, generation)], &[event(generation)])
                .await
                .unwrap();
            store.load().await.unwrap().access.len()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 2);
    }
    assert_eq!(world.store.verify_audit().await.unwrap().broken, None);
}
