// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which descriptor of the loop's set is ready: a number for the kernel, a meaning for us.

use super::ring::Stream;
use crate::tree::NodeId;

/// What a descriptor in the set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A signal has come.
    Signals,
    /// Our own output can be written again.
    Outlet(Stream),
    /// Somebody in the set of services' pipes has written.
    Logs,
    /// This service has; it stands in that set.
    Log(NodeId, Stream),
    /// The run of this life has sent a datagram.
    Notify(u64),
    /// The file of the control socket may be gone.
    Door,
    /// The run of this life has written to its readiness descriptor.
    Ready(u64),
    /// The run of this life has executed its program at last, or failed to.
    Start(u64),
    /// The hook of this life has written.
    Hook(u64, Stream),
}

/// Bits of the number that say whose it is; the rest says what.
const WHOSE: u32 = 56;
const MASK: u64 = (1 << WHOSE) - 1;

impl Token {
    /// For the kernel. Lives are counted from 1 and never reach 2^56.
    pub(crate) fn encode(self) -> u64 {
        let (tag, whose) = match self {
            Self::Signals => (0, 0),
            Self::Outlet(Stream::Out) => (1, 0),
            Self::Outlet(Stream::Err) => (2, 0),
            Self::Log(node, Stream::Out) => (3, u64::from(node.0)),
            Self::Log(node, Stream::Err) => (4, u64::from(node.0)),
            Self::Notify(life) => (5, life),
            Self::Ready(life) => (6, life),
            Self::Start(life) => (7, life),
            Self::Door => (8, 0),
            Self::Logs => (9, 0),
            Self::Hook(life, Stream::Out) => (10, life),
            Self::Hook(life, Stream::Err) => (11, life),
        };
        (tag << WHOSE) | (whose & MASK)
    }

    /// Back again; `None` for a number that is none of ours.
    pub(crate) fn decode(number: u64) -> Option<Self> {
        let whose = number & MASK;
        let node = || u32::try_from(whose).ok().map(NodeId);
        match number >> WHOSE {
            0 => Some(Self::Signals),
            1 => Some(Self::Outlet(Stream::Out)),
            2 => Some(Self::Outlet(Stream::Err)),
            3 => Some(Self::Log(node()?, Stream::Out)),
            4 => Some(Self::Log(node()?, Stream::Err)),
            5 => Some(Self::Notify(whose)),
            6 => Some(Self::Ready(whose)),
            7 => Some(Self::Start(whose)),
            8 => Some(Self::Door),
            9 => Some(Self::Logs),
            10 => Some(Self::Hook(whose, Stream::Out)),
            11 => Some(Self::Hook(whose, Stream::Err)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_comes_back_as_it_went() {
        for token in [
            Token::Signals,
            Token::Outlet(Stream::Out),
            Token::Outlet(Stream::Err),
            Token::Log(NodeId(u32::MAX), Stream::Out),
            Token::Log(NodeId(7), Stream::Err),
            Token::Notify(1 << 40),
            Token::Start(1 << 41),
            Token::Ready(3),
            Token::Door,
            Token::Logs,
            Token::Hook(5, Stream::Out),
            Token::Hook(6, Stream::Err),
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
