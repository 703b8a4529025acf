//! Taking the port.

use std::net::{Ipv6Addr, TcpListener};

use doorward_gateway::peer::Holder;
use doorward_gateway::{BindError, Gateway};

fn assert_taken_by_us(refused: Result<Gateway, BindError>, address: &str) {
    let Err(error) = refused else {
        panic!("{address} was taken")
    };
    let told = error.to_string();
    let BindError::Taken {
        address: taken,
        holder,
    } = error
    else {
        panic!("{told}")
    };
    assert_eq!(taken.to_string(), address);
    let pid = std::process::id();
    assert!(
        matches!(holder, Holder::Program { pid: own, .. } if own == pid),
        "{holder:?}"
    );
    assert!(
        told.starts_with(&format!("{address} is taken by ")),
        "{told}"
    );
    assert!(told.contains(&format!("(pid {pid})")), "{told}");
    assert!(
        told.ends_with("choose another port with `doorward serve --port N`"),
        "{told}"
    );
}

#[test]
fn a_taken_port_is_an_error_that_names_the_holder_and_the_fix() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    assert_taken_by_us(Gateway::bind(address.port()), &address.to_string());

    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = everywhere.local_addr().unwrap().port();
    assert_taken_by_us(Gateway::bind(port), &format!("127.0.0.1:{port}"));
}

#[test]
fn a_port_that_is_taken_on_one_family_alone_is_taken() {
    let Ok(holder) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("not run: there is no IPv6 loopback here");
        return;
    };
    let port = holder.local_addr().unwrap().port();
    assert_taken_by_us(Gateway::bind(port), &format!("[::1]:{port}"));
    drop(holder);
    let gateway = Gateway::bind(port).unwrap();
    assert_eq!(gateway.url(), format!("http://127.0.0.1:{port}"));
    assert!(
        TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_err(),
        "both families are held"
    );
}
