/// Finds the messages of the data socket's byte stream, and finds them again after garbage.
///
/// The parser works on the caller's buffer: it copies and allocates nothing, and keeps only a few numbers between
/// calls. What it answers does not depend on how the stream was cut into reads, only `quiet` can make a difference.
///
/// What is taken as a message:
///
/// - **A12** The length is L's, for the acquisition header too (2048 bytes in real files, any number in simulators).
/// - **A11** NULs before a prefix are dropped like any other bytes that are no message.
/// - A prefix needs `MPX,`, ten ASCII digits and a comma, with 2 ≤ L and a message within the limit. Otherwise its
///   first byte is garbage and the search goes on right behind it (`MMPX,` is found).
/// - A message is given out once the bytes behind it show where it ends: the next prefix, or something else; in this
///   case, only if no other message (`MPX,` ten digits `,MQ1,` or `,HDR,`) begins inside it. One that does was cut
///   short by what begins there: it is given as not ``MPXMessage/intact``, and the next message is not lost.
/// - A frame as long as the last one that was intact, with a prefix behind it, is trusted without looking into its
///   pixels. Every other message is searched for such a beginning even if a prefix follows, so that an invented
///   length cannot swallow what really follows it. The price: a frame cut short by exactly as many bytes as the
///   messages behind it have looks whole. Where that is one acquisition header, as after an ABORT, it is noticed.
/// - A body of unknown kind is a message (`.other`) if a prefix follows it, else garbage.
///
/// Not thread-safe in itself: a value belongs to one stream.
public struct MPXStreamParser: Sendable {
    public struct Limits: Sendable, Hashable {
        /// Largest message accepted, prefix included. A length above it is garbage.
        public var maxMessageBytes: Int

        public init(maxMessageBytes: Int = 64 << 20) {
            self.maxMessageBytes = maxMessageBytes
        }
    }

    public enum Step: Equatable, Sendable {
        /// Call again when at least this many more bytes (≥ 1) are there. Calling earlier is harmless.
        case needMore(Int)
        /// So many bytes (≥ 1) are no part of a message: drop them and call again.
        case skipped(Int)
        /// A message begins at the first unread byte: use it, drop ``MPXMessage/totalBytes`` and call again.
        case message(MPXMessage)
    }

    public let limits: Limits

    /// Size of the last intact frame message; frames of this size are not searched.
    private var trustedBytes = 0
    /// Size of the last intact acquisition header message. It is looked for where a frame cut short by exactly this
    /// much would have swallowed one whole.
    private var headerBytes = MPXPrefix.byteCount + 2048
    /// Offset up to which the message now waited for has been searched; 0 while none is.
    var searchedTo = 0

    public init(limits: Limits = .init()) {
        self.limits = limits
    }

    /// Forgets an unfinished message, for bytes of another connection.
    public mutating func reset() {
        searchedTo = 0
        trustedBytes = 0
    }

    /// The next step.
    ///
    /// - Parameters:
    ///   - unread: everything received and not yet dropped; begins where the last step ended. Its bytes may be anything.
    ///   - quiet: nothing more is expected now (the sender paused, or the buffer is full): a message that is all there
    ///     is given out although nothing follows it, and one that is not is searched for a message that cut it short.
    /// - Returns: `.needMore` leaves the stream where it is; the other steps ask for bytes to be dropped.
    /// - Complexity: constant for a frame as long as the one before, followed by another message; else linear in the
    ///   bytes of `unread` that no earlier call has looked at.
    public mutating func next(_ unread: UnsafeRawBufferPointer, quiet: Bool = false) -> Step {
        let length: Int
        switch MPXPrefix.read(unread, at: 0) {
        case .whole(let declared): length = declared
        case .partial: return .needMore(MPXPrefix.byteCount &- unread.count)
        case .none: return garbage(unread)
        }
        // An L of ten digits cannot overflow here.
        let total = MPXPrefix.byteCount &+ length &- 1
        guard length >= 2, total <= limits.maxMessageBytes else { return garbage(unread) }
        let markEnd = min(total, MPXPrefix.byteCount &+ Self.markBytes)
        guard unread.count >= markEnd else { return .needMore(markEnd &- unread.count) }
        let kind = Self.kind(unread, markEnd: markEnd)

        if kind == .frame, total == trustedBytes,
            unread.count >= total &+ MPXPrefix.byteCount, isPrefix(unread, at: total)
        {
            return trustedFrame(unread, total: total)
        }
        return untrusted(unread, kind: kind, total: total, quiet: quiet)
    }

    /// A frame of the usual length with a prefix behind it. Its pixels are not searched; only a frame cut short by
    /// exactly an acquisition header's length looks like this too.
    @inline(__always)
    private mutating func trustedFrame(_ unread: UnsafeRawBufferPointer, total: Int) -> Step {
        let candidate = total &- headerBytes
        searchedTo = 0
        if candidate >= MPXPrefix.byteCount, embedded(unread, at: candidate) == .found {
            return .message(MPXMessage(kind: .frame, totalBytes: candidate, intact: false))
        }
        return .message(MPXMessage(kind: .frame, totalBytes: total, intact: true))
    }

    private mutating func untrusted(
        _ unread: UnsafeRawBufferPointer, kind: MPXMessage.Kind, total: Int, quiet: Bool
    ) -> Step {
        let isSearched = kind != .frame || total != trustedBytes
        let follower = follower(unread, total: total)
        if isSearched || follower == .garbage || quiet {
            switch searchInside(unread, total: total) {
            case .found(let offset):
                searchedTo = 0
                return kind == .other
                    ? .skipped(offset)
                    : .message(MPXMessage(kind: kind, totalBytes: offset, intact: false))
            case .undecided(let matched):
                // The last message's own last bytes may by chance look like the start of a prefix; a whole mark will
                // not. What is behind the message cannot be chance.
                let isChance = unread.count == total && matched < Self.markBytes
                guard quiet, isChance else { return .needMore(Self.embeddedBytes &- matched) }
            case .none:
                break
            }
        }
        switch follower {
        case .missing(let bytes):
            guard quiet, unread.count >= total else {
                // A searched message may be cut short by any of the next bytes.
                return .needMore(isSearched ? min(bytes, Self.embeddedBytes) : bytes)
            }
        case .garbage:
            guard kind != .other else { return garbage(unread) }
        case .prefix:
            break
        }
        searchedTo = 0
        if kind == .frame { trustedBytes = total }
        if kind == .acquisitionHeader { headerBytes = total }
        return .message(MPXMessage(kind: kind, totalBytes: total, intact: true))
    }

    private enum Follower: Equatable {
        case prefix, garbage
        /// So many bytes are missing before it shows.
        case missing(Int)
    }

    /// What stands behind the message.
    private func follower(_ unread: UnsafeRawBufferPointer, total: Int) -> Follower {
        guard unread.count > total else { return .missing(total &+ MPXPrefix.byteCount &- unread.count) }
        switch MPXPrefix.read(unread, at: total) {
        case .whole(let length):
            return isAcceptable(length) ? .prefix : .garbage
        case .partial:
            return .missing(total &+ MPXPrefix.byteCount &- unread.count)
        case .none:
            return .garbage
        }
    }

    @inline(__always)
    func isAcceptable(_ length: Int) -> Bool {
        length >= 2 && MPXPrefix.byteCount &+ length &- 1 <= limits.maxMessageBytes
    }

    @inline(__always)
    private func isPrefix(_ unread: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard case .whole(let length) = MPXPrefix.read(unread, at: offset) else { return false }
        return isAcceptable(length)
    }

    /// Drops what is no message: up to the next byte at which one may begin, at least one byte.
    private mutating func garbage(_ unread: UnsafeRawBufferPointer) -> Step {
        searchedTo = 0
        var offset = 1
        while let candidate = Self.firstM(unread, offset..<unread.count) {
            switch MPXPrefix.read(unread, at: candidate) {
            case .partial: return .skipped(candidate)
            case .whole(let length) where isAcceptable(length): return .skipped(candidate)
            case .whole, .none: offset = candidate &+ 1
            }
        }
        return .skipped(unread.count)
    }
}
