//! Whether the desktop has a place for tray icons. At login this program may be there before its panel is.

/// Waits until a place for tray icons appears. Where none ever can, for good.
pub(super) async fn appears() {
    #[cfg(target_os = "linux")]
    if let Err(error) = watcher_appears().await {
        tracing::info!(%error, "whether there is a tray cannot be told");
        std::future::pending::<()>().await;
    }
    #[cfg(not(target_os = "linux"))]
    std::future::pending::<()>().await;
}

/// On Linux a panel takes this name on the session bus.
#[cfg(target_os = "linux")]
async fn watcher_appears() -> zbus::Result<()> {
    use futures_util::StreamExt as _;
    let bus = zbus::Connection::session().await?;
    let names = zbus::fdo::DBusProxy::new(&bus).await?;
    let mut owners = names
        .receive_name_owner_changed_with_args(&[(0, "org.kde.StatusNotifierWatcher")])
        .await?;
    while let Some(change) = owners.next().await {
        if change.args()?.new_owner.is_some() {
            return Ok(());
        }
    }
    std::future::pending().await
}
