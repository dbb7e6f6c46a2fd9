import MerlinProtocol

@testable import StemwireAcquisition

/// Tiny frames (4 × 4, U08) whose pixels are the number of their acquisition and their own.
enum TestFrames {
    static let dataOffset = 64
    static let payloadBytes = 16
    static let messageBytes = MPXPrefix.byteCount + dataOffset + payloadBytes

    /// A frame from `MQ1` on.
    ///
    /// - Parameters:
    ///   - sequence: the number in the header.
    ///   - frame: the number in the pixels, from 0; usually `sequence - 1`.
    ///   - side: pixels along y; 4 is the usual format, anything else another.
    static func body(
        _ sequence: Int, acquisition: Int = 1, frame: Int? = nil, side: Int = 4, digits: Int = 6
    ) -> [UInt8] {
        var bytes = Array("MQ1,".utf8)
        append(sequence, digits: digits, to: &bytes)
        bytes += ",00064,01,0004,".utf8
        append(side, digits: 4, to: &bytes)
        bytes += ",U08,   1x1,01,T".utf8
        append(acquisition, digits: 6, to: &bytes)
        bytes.append(UInt8(ascii: ","))
        bytes += repeatElement(0, count: dataOffset - bytes.count)
        let numbers = [Int64(acquisition), Int64(frame ?? sequence - 1)]
        numbers.withUnsafeBytes { bytes += $0 }
        if side > 4 { bytes += repeatElement(0x55, count: 4 * side - payloadBytes) }
        if side < 4 { bytes.removeLast(payloadBytes - 4 * side) }
        return bytes
    }

    /// With its MPX prefix.
    static func message(
        _ sequence: Int, acquisition: Int = 1, frame: Int? = nil, side: Int = 4, digits: Int = 6
    ) -> [UInt8] {
        framed(body(sequence, acquisition: acquisition, frame: frame, side: side, digits: digits))
    }

    static func framed(_ body: [UInt8]) -> [UInt8] { MPXPrefix.encoded(bodyBytes: body.count) + body }

    /// An acquisition header from `HDR` on.
    static func header(frames: Int, perTrigger: Int = 1, scan: (y: Int, x: Int)? = nil, stamp: Int = 0) -> [UInt8] {
        var text = "HDR,\t\r\nTime and Date Stamp (day, mnth, yr, hr, min, s):\t\(stamp)\r\n"
        text += "Frames in Acquisition (Number):\t\(frames)\r\nFrames per Trigger (Number):\t\(perTrigger)\r\n"
        if let scan { text += "ScanX:\t\(scan.x)\r\nScanY:\t\(scan.y)\r\n" }
        return Array((text + "End\t   ").utf8)
    }

    /// Which acquisition and frame the pixels tell.
    static func identity(_ payload: UnsafeRawBufferPointer) -> (acquisition: Int, frame: Int) {
        (
            Int(payload.loadUnaligned(fromByteOffset: 0, as: Int64.self)),
            Int(payload.loadUnaligned(fromByteOffset: 8, as: Int64.self))
        )
    }

    private static func append(_ number: Int, digits: Int, to bytes: inout [UInt8]) {
        let text = String(number).utf8
        bytes += repeatElement(UInt8(ascii: "0"), count: max(0, digits - text.count))
        bytes += text
    }
}

/// A tracker with a clock of its own, and what it told.
struct TrackerRun {
    var tracker: FrameTracker
    var now = ContinuousClock.now
    var starts: [TrackedStart] = []
    var ends: [TrackedEnd] = []

    init(_ change: (inout FrameTracker.Configuration) -> Void = { _ in }) {
        var configuration = FrameTracker.Configuration()
        change(&configuration)
        tracker = FrameTracker(configuration)
    }

    mutating func header(_ text: [UInt8], intact: Bool = true) {
        text.withUnsafeBytes { tracker.acquisitionHeader($0, intact: intact, at: now) }
        takeEvents()
    }

    @discardableResult
    mutating func frame(_ body: [UInt8], intact: Bool = true, isKept: Bool = true) -> FramePlacement {
        now += .milliseconds(1)
        let decision = body.withUnsafeBytes { tracker.frame($0, intact: intact, isKept: isKept, at: now) }
        takeEvents()
        return decision.placement
    }

    @discardableResult
    mutating func frame(_ sequence: Int, acquisition: Int = 1) -> FramePlacement {
        frame(TestFrames.body(sequence, acquisition: acquisition))
    }

    mutating func pass(_ time: Duration) {
        now += time
        tracker.tick(at: now)
        takeEvents()
    }

    mutating func takeEvents() {
        while let event = tracker.takeEvent() {
            switch event {
            case .started(let start): starts.append(start)
            case .ended(let end): ends.append(end)
            }
        }
    }
}
