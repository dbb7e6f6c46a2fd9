import StemwireClient
import StemwireKernels

@testable import StemwireViewer

/// A channel's state made up for a test.
struct TestChannel: ChannelContent {
    var name = ChannelName(run: "default", udf: "sumsig", channel: "intensity")
    var generation: UInt64 = 1
    var kind = ChannelUpdate.Kind.nav
    var dtype = DType.uint64
    var shape = [2, 3]
    var navShape = [2, 3]
    var positionsProcessed = 0
    var positionsExpected = 6
    var isFinal = false
    var parameterGeneration = 0
    var generations: [(positions: Range<Int>, generation: Int)] = []
    var data: [UInt8] = [UInt8](repeating: 0, count: 48)
    var mask: [UInt8] = [0]

    static func counts(_ values: [UInt64], mask: [UInt8] = [0xFF]) -> TestChannel {
        var channel = TestChannel()
        channel.shape = [1, values.count]
        channel.navShape = channel.shape
        channel.data = values.withUnsafeBytes { Array($0) }
        channel.mask = mask
        return channel
    }

    func withData<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try lend(data, body)
    }

    func withValidMask<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try lend(mask, body)
    }

    private func lend<Result, Failure: Error>(
        _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var result: Swift.Result<Result, Failure>?
        bytes.withUnsafeBytes { bytes in
            result = Swift.Result { () throws(Failure) in try body(bytes) }
        }
        return try result!.get()
    }
}

/// An acquisition's id whose bytes are all `number`.
func acquisition(_ number: UInt8) -> AcquisitionUUID { AcquisitionUUID([UInt8](repeating: number, count: 16))! }

/// A message to a page, read as the page reads it.
struct ReadMessage {
    let header: JSONValue
    let arrays: [UInt8]

    init(_ bytes: [UInt8]) throws {
        let length = (0..<4).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        header = try JSONValue(parsing: bytes[8..<8 + length], depth: 64)
        arrays = Array(bytes[(8 + length)...])
    }

    /// The bytes of an array that a pane tells of.
    func array(_ pane: JSONValue, _ member: String) -> [UInt8]? {
        guard let place = pane[member], let offset = place["offset"]?.int, let count = place["bytes"]?.int else {
            return nil
        }
        return Array(arrays[offset..<offset + count])
    }

    func pane(_ name: String) -> JSONValue? {
        header["panes"]?.array?.first { $0["pane"]?.string == name }
    }
}
