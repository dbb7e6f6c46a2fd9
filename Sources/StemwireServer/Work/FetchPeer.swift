/// One lossless client's side of the work socket: its credit and its fetches, without I/O.
///
/// The shell asks `next()` what to send, sends it, and tells by `sent` what it cost.
struct FetchPeer: Sendable {
    /// Frames still to be sent for one FETCH.
    struct Request: Sendable, Hashable {
        let number: UInt64
        let acquisition: [UInt8]
        var positions: Range<Int>
        /// Positions that could not be sent, with the reason.
        var unavailable: [(range: Range<Int>, reason: Unavailable)] = []

        static func == (a: Request, b: Request) -> Bool { a.number == b.number && a.positions == b.positions }
        func hash(into hasher: inout Hasher) { hasher.combine(number) }
    }

    /// Why a frame cannot be sent; the raw values are those of the protocol.
    enum Unavailable: String, Sendable {
        /// The detector's frame never came, or was rejected.
        case missing
        /// The acquisition is running and the frame has not come yet.
        case pending
        /// The memory was needed for newer frames.
        case released
    }

    static let maximumRequests = 64
    /// Ranges that the end of a request lists.
    static let maximumRanges = 4096

    private(set) var creditItems: UInt64 = 0
    private(set) var creditBytes: UInt64 = 0
    private var largestCredit: UInt64 = 0
    private(set) var requests: [Request] = []

    /// Adds what the client can take in addition.
    mutating func grant(items: UInt32, bytes: UInt64) {
        creditItems = creditItems.addingClamped(UInt64(items))
        creditBytes = creditBytes.addingClamped(bytes)
        largestCredit = max(largestCredit, creditBytes)
    }

    /// Queues a fetch; false when too many wait.
    mutating func enqueue(_ request: Request) -> Bool {
        guard requests.count < Self.maximumRequests else { return false }
        requests.append(request)
        return true
    }

    /// The request whose frames are to be sent next.
    var current: Request? { requests.first }

    /// Whether a tile of `bytes` may be sent now. A tile larger than all credit ever given goes when the client
    /// has everything free, so that it cannot wait for ever.
    func canSend(bytes: Int) -> Bool {
        creditItems > 0
            && (creditBytes >= UInt64(bytes) || (creditBytes == largestCredit && UInt64(bytes) > largestCredit))
    }

    /// Frames of the current request were sent as one tile.
    mutating func sent(upTo position: Int, bytes: Int) {
        creditItems -= 1
        creditBytes -= min(creditBytes, UInt64(bytes))
        requests[0].positions = min(position, requests[0].positions.upperBound)..<requests[0].positions.upperBound
    }

    /// Frames of the current request, up to `position`, cannot be sent.
    ///
    /// When more ranges come together than can be listed, the request ends there: its rest is pending, and can be asked
    /// for again.
    mutating func skipped(upTo position: Int, reason: Unavailable) {
        let start = requests[0].positions.lowerBound
        let end = min(position, requests[0].positions.upperBound)
        let listed = requests[0].unavailable
        if let last = listed.last, last.reason == reason, last.range.upperBound == start {
            requests[0].unavailable[listed.count - 1].range = last.range.lowerBound..<end
        } else if listed.count + 1 < Self.maximumRanges {
            requests[0].unavailable.append((start..<end, reason))
        } else {
            requests[0].unavailable.append((start..<requests[0].positions.upperBound, .pending))
            requests[0].positions = requests[0].positions.upperBound..<requests[0].positions.upperBound
            return
        }
        requests[0].positions = end..<requests[0].positions.upperBound
    }

    /// Takes the current request away when nothing of it is left.
    mutating func takeFinished() -> Request? {
        guard let first = requests.first, first.positions.isEmpty else { return nil }
        return requests.removeFirst()
    }
}

extension UInt64 {
    fileprivate func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
