import Glibc

/// The search for a message inside another, and for the next place at which one may begin.
extension MPXStreamParser {
    /// Bytes of a body's mark, such as `MQ1,`.
    static let markBytes = 4
    /// Bytes that show a message inside another: prefix and mark.
    static let embeddedBytes = MPXPrefix.byteCount + markBytes

    // Little-endian words.
    private static let frameMark: UInt32 = 0x2C31_514D  // MQ1,
    private static let headerMark: UInt32 = 0x2C52_4448  // HDR,

    /// The kind of the message at the first byte, given that it is there up to `markEnd`.
    @inline(__always)
    static func kind(_ unread: UnsafeRawBufferPointer, markEnd: Int) -> MPXMessage.Kind {
        guard markEnd == embeddedBytes else { return .other }
        switch unread.loadUnaligned(fromByteOffset: MPXPrefix.byteCount, as: UInt32.self).littleEndian {
        case frameMark: return .frame
        case headerMark: return .acquisitionHeader
        default: return .other
        }
    }

    enum Embedded: Equatable {
        case found, none
        /// The buffer ends inside what may become one, after so many fitting bytes.
        case partial(matched: Int)
    }

    /// Whether a prefix and the mark of a frame or acquisition header stand at `offset`.
    func embedded(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Embedded {
        switch MPXPrefix.read(bytes, at: offset) {
        case .none: return .none
        case .partial: return .partial(matched: bytes.count &- offset)
        case .whole(let length): guard isAcceptable(length) else { return .none }
        }
        let start = offset &+ MPXPrefix.byteCount
        var word: UInt32 = 0
        var mask: UInt32 = 0
        let available = min(Self.markBytes, bytes.count &- start)
        for index in 0..<available {
            word |= UInt32(bytes[start &+ index]) << UInt32(8 &* index)
            mask |= 0xFF << UInt32(8 &* index)
        }
        guard word == Self.frameMark & mask || word == Self.headerMark & mask else { return .none }
        return available == Self.markBytes ? .found : .partial(matched: bytes.count &- offset)
    }

    enum SearchResult {
        case found(Int), none
        /// What begins at ``searchedTo`` fits as far as it is there, for `matched` bytes.
        case undecided(matched: Int)
    }

    /// Looks for a message that begins inside the first one, of `total` bytes, as far as that is there.
    ///
    /// Goes on where the last search of the same message ended.
    mutating func searchInside(_ unread: UnsafeRawBufferPointer, total: Int) -> SearchResult {
        let end = min(total, unread.count)
        var offset = max(searchedTo, MPXPrefix.byteCount)
        while let candidate = Self.firstM(unread, offset..<max(offset, end)) {
            switch embedded(unread, at: candidate) {
            case .found:
                return .found(candidate)
            case .partial(let matched):
                searchedTo = candidate
                return .undecided(matched: matched)
            case .none:
                offset = candidate &+ 1
            }
        }
        searchedTo = max(offset, end)
        return .none
    }

    /// Offset of the first `M` in `range`, which must lie in the buffer unless it is empty.
    static func firstM(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty, let base = bytes.baseAddress,
            let found = memchr(base + range.lowerBound, Int32(UInt8(ascii: "M")), range.count)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
