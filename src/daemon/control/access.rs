// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what over the socket (INTERFACES, "Who may").
//!
//! Decides from what the kernel says about the other end (SO_PEERCRED, SO_PEERGROUPS), never from
//! anything the client says. uid 0 and our own user may do everything, members of `group` too,
//! members of `read_group` may read. The overflow uid and gid stand for users and groups that have
//! no number here (user_namespaces(7)), and give nobody anything: unless we run as that user
//! ourselves behind a path with mode 0600, which already keeps out everybody but the real owner.
//!
//! The kernel says who has connected, not who uses the connection: who hands it on, hands on what
//! it may do.

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Nothing.
    Nobody,
    /// Read.
    Reader,
    /// Everything.
    Operator,
}

/// Whether the file system stands before the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A path that its owner alone can come through.
    Path,
    /// A path that others can come through, too.
    Shared,
    /// An abstract name: everybody in the network namespace can connect.
    Abstract,
}

/// The rule.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// The daemon's own user.
    pub own: u32,
    /// The number that stands for users without one (user_namespaces(7)).
    pub overflow: u32,
    /// The same for groups.
    pub overflow_gid: u32,
    /// How the socket is reached.
    pub door: Door,
    /// Members may do everything.
    pub group: Option<u32>,
    /// Members may read.
    pub read_group: Option<u32>,
}

/// The other end of a connection, in the kernel's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its process.
    pub pid: i32,
    /// Its groups, the primary one included.
    pub gids: Vec<u32>,
}

impl Access {
    /// What `peer` may do.
    pub(crate) fn role(&self, peer: &Peer) -> Role {
        if peer.uid == u32::MAX {
            return Role::Nobody;
        }
        if peer.uid == self.overflow && (self.own != self.overflow || self.door != Door::Path) {
            return Role::Nobody;
        }
        let member = |group: Option<u32>| {
            group.is_some_and(|g| g != self.overflow_gid && peer.gids.contains(&g))
        };
        if peer.uid == 0 || peer.uid == self.own || member(self.group) {
            Role::Operator
        } else if member(self.read_group) {
            Role::Reader
        } else {
            Role::Nobody
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: Access = Access {
        own: 1000,
        overflow: 65534,
        overflow_gid: 65533,
        door: Door::Path,
        group: Some(50),
        read_group: Some(60),
    };

    fn role(access: &Access, uid: u32, gids: &[u32]) -> Role {
        access.role(&Peer {
            uid,
            pid: 1,
            gids: gids.to_vec(),
        })
    }

    #[test]
    fn root_our_own_user_and_the_group_do_everything_the_read_group_reads() {
        assert_eq!(role(&ACCESS, 0, &[0]), Role::Operator);
        assert_eq!(role(&ACCESS, 1000, &[9]), Role::Operator);
        assert_eq!(role(&ACCESS, 7, &[9, 50]), Role::Operator);
        assert_eq!(role(&ACCESS, 7, &[60]), Role::Reader);
        assert_eq!(role(&ACCESS, 7, &[9]), Role::Nobody);
        assert_eq!(role(&ACCESS, u32::MAX, &[50]), Role::Nobody);
    }

    #[test]
    fn the_overflow_user_is_nobody_unless_it_is_us_behind_a_path() {
        assert_eq!(role(&ACCESS, 65534, &[50]), Role::Nobody);
        let own = Access {
            own: 65534,
            ..ACCESS
        };
        assert_eq!(role(&own, 65534, &[]), Role::Operator);
        let open = Access {
            door: Door::Abstract,
            ..own
        };
        assert_eq!(role(&open, 65534, &[]), Role::Nobody);
        let shared = Access {
            door: Door::Shared,
            ..own
        };
        assert_eq!(role(&shared, 65534, &[50]), Role::Nobody);
    }

    #[test]
    fn the_overflow_group_makes_nobody_a_member() {
        let odd = Access {
            group: Some(65533),
            read_group: Some(65533),
            ..ACCESS
        };
        assert_eq!(role(&odd, 7, &[65533]), Role::Nobody);
        assert_eq!(role(&odd, i32::MAX as u32 + 1, &[50]), Role::Nobody);
        assert_eq!(role(&ACCESS, i32::MAX as u32 + 1, &[50]), Role::Operator);
    }
}
