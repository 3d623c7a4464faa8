//! The unprivileged user that a server runs as when we are root: Postgres refuses to be root.

use crate::StackError;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A user of the system, or root under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// A user of the system.
    User {
        /// Its name.
        name: String,
        /// Its number.
        user: u32,
        /// Its group's number.
        group: u32,
    },
    /// Ourselves in a user namespace, where root is somebody else: for a clone that no other user may enter.
    Namespace,
}

/// In order of preference: the user made for it, then the one that owns nothing.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];
/// Runs a command in a user namespace of its own; part of util-linux.
const NAMESPACE: [&str; 4] = ["unshare", "--user", "--map-user=1000", "--"];

impl Account {
    /// The user to drop to for work in `folder`, or `None` when we are not root and need not.
    ///
    /// # Errors
    /// When nobody but root may enter the folder.
    pub fn to_drop_to(folder: &Path) -> Result<Option<Self>, StackError> {
        let are_root = std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
        if !are_root {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = CANDIDATES.iter().find_map(|name| Self::in_passwd(&users, name));
        let ways = user.into_iter().chain([Self::Namespace]);
        let refused = || StackError::Unreachable { path: folder.to_path_buf() };
        ways.into_iter().find(|way| way.reaches(folder)).map(Some).ok_or_else(refused)
    }

    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let user = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Self::User { name: name.to_owned(), user, group })
    }

    /// What stands before the program on the command line.
    pub(crate) fn prefix(account: Option<&Self>) -> &'static [&'static str] {
        if account == Some(&Self::Namespace) { &NAMESPACE } else { &[] }
    }

    /// The user to switch to, if it is one; without any supplementary group.
    pub(crate) fn switch(account: Option<&Self>, command: &mut Command) {
        if let Some(Self::User { user, group, .. }) = account {
            command.uid(*user).gid(*group);
        }
    }

    /// A command that runs as this account.
    pub(crate) fn command(account: Option<&Self>, program: impl AsRef<OsStr>) -> Command {
        let mut command = match Self::prefix(account).split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        Self::switch(account, &mut command);
        command
    }

    /// Gives an existing file or folder to this account.
    pub(crate) fn own(account: Option<&Self>, path: &Path) -> Result<(), StackError> {
        let Some(Self::User { user, group, .. }) = account else { return Ok(()) };
        chown(path, Some(*user), Some(*group)).map_err(StackError::file("cannot give away", path))
    }

    /// Whether this account can enter the folder: a clone under `/root` is closed to everybody else.
    fn reaches(&self, folder: &Path) -> bool {
        let mut probe = Self::command(Some(self), "test");
        probe.arg("-x").arg(folder).current_dir("/").stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn a_user_is_read_from_the_list_of_users() {
        let users = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        let found = Account::in_passwd(users, "nobody");
        assert_eq!(found, Some(Account::User { name: "nobody".to_owned(), user: 65534, group: 65533 }));
        assert_eq!(Account::in_passwd(users, "nob"), None);
    }
}
