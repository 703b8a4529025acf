//! The demo account: one person, two organisations, four workspaces. The ids never change, so tests
//! and scripts may name them.

/// The person's id.
pub const PERSON_ID: &str = "4100000000000000011";
/// What the person is called.
pub const PERSON_NAME: &str = "Robin Example";
/// Signs in on the consent page.
pub const EMAIL: &str = "robin@example.com";
/// Goes with it; shown on the page, since it protects nothing.
pub const PASSWORD: &str = "open-the-door";

/// Organisation "Harbour Studio".
pub const STUDIO: &str = "3800000000000000101";
/// Organisation "Linden Clinic".
pub const CLINIC: &str = "3800000000000000102";

/// Workspace "Website relaunch" of Harbour Studio: a folder and a few files.
pub const WEBSITE: &str = "4700000000000000201";
/// Workspace "Photo archive" of Harbour Studio: 130 files, more than one page.
pub const ARCHIVE: &str = "4700000000000000202";
/// Workspace "Patient leaflets" of Linden Clinic.
pub const LEAFLETS: &str = "4700000000000000203";
/// Workspace "Accounts" of Linden Clinic.
pub const ACCOUNTS: &str = "4700000000000000204";

/// Share "Press kit", made from workspace "Website relaunch".
pub const PRESS_KIT: &str = "5200000000000000301";
