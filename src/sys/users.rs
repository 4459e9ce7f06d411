// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users and groups from /etc/passwd and /etc/group, read by hand.
//!
//! No NSS: its modules load code, take locks and talk to the network, none of which PID 1 may wait
//! for. A name that is not found is an error, never a number and never root (CVE-2017-1000082,
//! CVE-2020-13776). The files may be absent: numbers work without them.

use crate::spec::UserRef;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Larger files are refused.
const FILE_MAX: u64 = 16 << 20;

/// Where users and groups are looked up.
#[derive(Debug, Clone)]
pub struct Users {
    passwd: PathBuf,
    group: PathBuf,
}

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its user.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its supplementary groups, the primary one included.
    pub groups: Vec<u32>,
    /// Login name and home directory, where the user is known.
    pub account: Option<Account>,
}

/// A line of /etc/passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User number.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// A user or group that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The text cannot be a name; a number is not written as a name.
    #[error("cannot look up `{0}`: not a valid name")]
    BadName(Box<str>),
    /// 4294967295, which the kernel takes for "unchanged".
    #[error("cannot use the number 4294967295: it means \"unchanged\"")]
    Reserved,
    /// The name stands in no line of the file.
    #[error("cannot look up `{name}`: not in {file}")]
    Unknown {
        /// What was asked for.
        name: Box<str>,
        /// Where it was looked for.
        file: PathBuf,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// Which one.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl UsersError {
    /// The nearest error number, for [`SpawnFailure`](crate::spec::SpawnFailure).
    pub fn errno(&self) -> i32 {
        match self {
            Self::BadName(_) | Self::Reserved => libc::EINVAL,
            Self::Unknown { .. } => libc::ENOENT,
            Self::Read { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
        }
    }
}

impl Default for Users {
    fn default() -> Self {
        Self::at("/etc/passwd".into(), "/etc/group".into())
    }
}

impl Users {
    /// Reads these files instead of those in /etc.
    pub fn at(passwd: PathBuf, group: PathBuf) -> Self {
        Self { passwd, group }
    }

    /// The account of a user; `None`: a number without a line.
    pub fn account(&self, user: &UserRef) -> Result<Option<Account>, UsersError> {
        check(user)?;
        let text = read(&self.passwd)?;
        let mut accounts = text.lines().filter_map(parse_account);
        match user {
            UserRef::Id(uid) => Ok(accounts.find(|a| a.uid == *uid)),
            UserRef::Name(name) => match accounts.find(|a| *a.name == **name) {
                Some(account) => Ok(Some(account)),
                None => Err(unknown(name, &self.passwd)),
            },
        }
    }

    /// The number of a group.
    pub fn gid(&self, group: &UserRef) -> Result<u32, UsersError> {
        check(group)?;
        let name = match group {
            UserRef::Id(gid) => return Ok(*gid),
            UserRef::Name(name) => name,
        };
        let text = read(&self.group)?;
        let mut groups = text.lines().filter_map(parse_group);
        groups
            .find(|(found, _, _)| *found == &**name)
            .map(|(_, gid, _)| gid)
            .ok_or_else(|| unknown(name, &self.group))
    }

    /// Everything a process needs to run as `user`. A number without an account gets the group of
    /// the same number, never group 0 by omission.
    pub fn identity(&self, user: &UserRef) -> Result<Identity, UsersError> {
        let account = self.account(user)?;
        let (uid, gid) = match (&account, user) {
            (Some(account), _) => (account.uid, account.gid),
            (None, UserRef::Id(uid)) => (*uid, *uid),
            (None, UserRef::Name(name)) => return Err(unknown(name, &self.passwd)),
        };
        let mut groups = vec![gid];
        if let Some(account) = &account {
            let text = read(&self.group)?;
            let member = |list: &str| list.split(',').any(|m| m.trim() == account.name);
            for (_, extra, members) in text.lines().filter_map(parse_group) {
                if member(members) && !groups.contains(&extra) {
                    groups.push(extra);
                }
            }
        }
        Ok(Identity {
            uid,
            gid,
            groups,
            account,
        })
    }
}

fn unknown(name: &str, file: &Path) -> UsersError {
    UsersError::Unknown {
        name: name.into(),
        file: file.to_path_buf(),
    }
}

/// Refuses what could be taken for something else: `0day`, `0x0`, ` 0`, `-1` are no names.
fn check(reference: &UserRef) -> Result<(), UsersError> {
    match reference {
        UserRef::Id(u32::MAX) => Err(UsersError::Reserved),
        UserRef::Id(_) => Ok(()),
        UserRef::Name(name) => {
            let mut chars = name.chars();
            let first = chars
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            let rest = chars.all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c));
            if first && rest {
                Ok(())
            } else {
                Err(UsersError::BadName(name.clone()))
            }
        }
    }
}

/// The text of a file; an absent one is empty.
fn read(path: &Path) -> Result<String, UsersError> {
    let failed = |source| UsersError::Read {
        file: path.to_path_buf(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(failed(io::Error::from_raw_os_error(libc::EFBIG)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `name:password:uid:gid:gecos:home:shell` (passwd(5)); a line that is not like that is nobody's.
fn parse_account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = *fields.as_slice() else {
        return None;
    };
    Some(Account {
        name: name.to_owned(),
        uid: number(uid)?,
        gid: number(gid)?,
        home: home.into(),
        shell: shell.into(),
    })
}

/// `name:password:gid:member,member` (group(5)).
fn parse_group(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let gid = number(fields.nth(1)?)?;
    let members = fields.next()?;
    fields.next().is_none().then_some((name, gid, members))
}

/// Decimal digits and nothing else; `parse` alone would take `+0`.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|n| *n != u32::MAX)
}
