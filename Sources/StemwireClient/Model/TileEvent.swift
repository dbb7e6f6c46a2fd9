/// What a tile subscription hears of, in one order.
///
/// Of each acquisition: first ``started(_:)``, then tiles and gaps, last ``ended(_:)``. A tile overtakes its `started` only
/// when that message was lost and had to be asked for. Events of two acquisitions interleave when the second one begins
/// while frames of the first are still being repaired: tell them apart by `acquisition`. No position of an acquisition is
/// delivered twice.
public enum TileEvent: Sendable {
    case started(AcquisitionStart)
    case tile(FrameTile)
    /// Positions that did not come when they were due; some may come later, by a repair or out of order.
    case gap(TileGap)
    /// Positions that a repair could not get.
    case unavailable(UnavailableFrames)
    /// The acquisition is over and nothing of it will follow.
    case ended(AcquisitionEnd)
}

/// Positions that a tile subscription did not get when they were due.
public struct TileGap: Sendable, Hashable {
    public enum Cause: Sendable, Hashable {
        /// They were published before the subscription began.
        case beforeJoining
        /// The live stream lost messages: the network or the server's limit for slow subscribers.
        case lost
        /// The server sent nothing for them, though no message was lost: the detector's frames are missing or late.
        case skipped
        /// The bytes changed on the way: the checksum does not fit.
        case corrupted
        /// This subscription's buffer was full: the consumer is too slow.
        case bufferFull
    }

    public let acquisition: AcquisitionUUID
    public let generation: UInt64
    /// Sorted, disjoint.
    public let positions: [Range<Int>]
    public let cause: Cause

    /// Number of positions.
    public var count: Int { positions.reduce(0) { $0 + $1.count } }

    /// Both gaps in one, when they are of one acquisition and cause.
    func merged(with other: TileGap) -> TileGap? {
        guard acquisition == other.acquisition, generation == other.generation, cause == other.cause else { return nil }
        return TileGap(
            acquisition: acquisition, generation: generation,
            positions: PositionSet(positions + other.positions).ranges, cause: cause)
    }
}

/// Frames that cannot be fetched.
public struct UnavailableFrames: Sendable, Hashable, CustomStringConvertible {
    public enum Reason: Sendable, Hashable, CustomStringConvertible {
        /// The detector's frame never came, or was rejected.
        case missing
        /// The acquisition runs and the frame has not come yet.
        case pending
        /// The server needed the memory for newer frames.
        case released
        /// Fetching failed: why.
        case failed(String)
        /// A word that this version of the client does not know.
        case other(String)

        init(_ word: String) {
            self =
                switch word {
                case "missing": .missing
                case "pending": .pending
                case "released": .released
                default: .other(word)
                }
        }

        public var description: String {
            switch self {
            case .missing: "the detector's frames never came, or were rejected"
            case .pending: "the frames have not come yet"
            case .released: "the server needed the memory for newer frames"
            case .failed(let why): why
            case .other(let word): word
            }
        }
    }

    public let acquisition: AcquisitionUUID
    public let positions: Range<Int>
    public let reason: Reason

    public init(acquisition: AcquisitionUUID, positions: Range<Int>, reason: Reason) {
        self.acquisition = acquisition
        self.positions = positions
        self.reason = reason
    }

    public var description: String { "positions \(positions.lowerBound) to \(positions.upperBound - 1): \(reason)" }
}

/// How many tiles a subscription keeps for a consumer that does not take them.
public enum TileBuffering: Sendable, Hashable {
    /// Keeps what came first, up to so many bytes; later tiles are left out until there is room again. For consumers
    /// that want all frames: with `repair`, those left out are fetched when there is room.
    case oldest(bytes: Int)
    /// Keeps the newest tiles, at most so many. For views. What is left out for newer ones is not repaired.
    case newest(Int)

    /// `oldest`, 256 MiB.
    public static let standard = TileBuffering.oldest(bytes: 256 << 20)
}
