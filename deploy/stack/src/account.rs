//! The unprivileged user that a server runs as when we are root: Postgres refuses to be root.

use crate::StackError;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    user: u32,
    group: u32,
}

/// In order of preference: the user made for it, then the one that owns nothing.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

impl Account {
    /// The user to drop to, or `None` when we are not root and need not.
    #[must_use]
    pub fn to_drop_to() -> Option<Self> {
        let are_root = std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
        if !are_root {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        CANDIDATES.iter().find_map(|name| Self::in_passwd(&users, name))
    }

    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let user = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), user, group })
    }

    /// Runs the command as this user, without any supplementary group.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Gives an existing folder to this user.
    pub(crate) fn own(&self, folder: &Path) -> Result<(), StackError> {
        chown(folder, Some(self.user), Some(self.group)).map_err(StackError::file("cannot give away", folder))
    }

    /// Checks that this user can enter `folder`: a clone under `/root` is closed to everybody else.
    pub(crate) fn must_reach(&self, folder: &Path) -> Result<(), StackError> {
        let mut probe = Command::new("test");
        probe.arg("-x").arg(folder).current_dir("/");
        self.apply(&mut probe);
        match probe.status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(StackError::Unreachable { user: self.name.clone(), path: folder.to_path_buf() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn a_user_is_read_from_the_list_of_users() {
        let users = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        let found = Account::in_passwd(users, "nobody");
        assert_eq!(found, Some(Account { name: "nobody".to_owned(), user: 65534, group: 65533 }));
        assert_eq!(Account::in_passwd(users, "nob"), None);
    }
}
