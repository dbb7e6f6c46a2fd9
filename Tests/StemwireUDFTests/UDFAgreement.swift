import StemwireKernels
import StemwireUDF
import Testing

extension ScanFixture {
    /// Runs one UDF, and again with 1, 2, 3 and 8 lanes, its frames and partitions in disorder; all must give the same
    /// bits.
    ///
    /// - Parameter decoder: Of frames that are not native numbers.
    /// - Returns: The channels by name.
    func agreedChannels(
        _ request: UDFRequest, framesPerPartition: Int, missing: Set<Int> = [], roi: PositionSet? = nil,
        framesPerBlock: Int = 3
    ) throws -> [String: ResultChannel] {
        let meta = try meta(framesPerPartition: framesPerPartition, roi: roi)
        let plan = try RunPlan(
            [request], registry: .builtIn, meta: meta,
            blockBytes: framesPerBlock * sigShape.pixelCount * dtype.byteCount)
        var disorder = Disorder.none
        disorder.missing = missing
        var merger = try run(plan, disorder)
        let channels = merger.channels()
        #expect(merger.failures.isEmpty, "\(merger.failures)")
        for (seed, lanes) in zip(1...4 as ClosedRange<UInt64>, [1, 2, 3, 8]) {
            var other = try run(plan, Disorder(seed: seed, lanes: lanes, missing: missing))
            for (left, right) in zip(channels, other.channels()) {
                #expect(left.array == right.array, "\(left.key) with \(lanes) lanes, seed \(seed)")
                #expect(left.valid == right.valid, "\(left.key)")
            }
        }
        return Dictionary(uniqueKeysWithValues: channels.map { ($0.name, $0) })
    }

    /// The positions that are processed.
    func processed(missing: Set<Int>, roi: PositionSet?) -> [Int] {
        frames.indices.filter { !missing.contains($0) && roi?.contains($0) != false }
    }
}

extension [String: ResultChannel] {
    /// The numbers of a channel.
    func numbers(_ name: String) throws -> [Double] { try #require(self[name]).array.doubles() }

    /// The array of a channel.
    func array(_ name: String) throws -> ResultArray { try #require(self[name]).array }
}

/// Whether numbers are as expected to within `tolerance` × (1 + magnitude), and NaN where NaN is expected.
func agree(_ found: [Double], _ expected: [Double], within tolerance: Double) -> Bool {
    found.count == expected.count
        && zip(found, expected).allSatisfy { found, expected in
            found.isNaN && expected.isNaN || found == expected
                || abs(found - expected) <= tolerance * (1 + abs(expected))
        }
}

/// The message of a request that cannot be planned.
func refusal(_ name: String, _ parameters: [String: ParameterValue], _ meta: UDFMeta) -> String {
    message { _ = try RunPlan([UDFRequest(name: name, parameters: parameters)], meta: meta) }
}

/// Positions of a scan of 5 × 7 that are lost, and a region of interest in it.
let lostPositions: Set<Int> = [0, 3, 17, 18, 34]
let someRegion = PositionSet((0..<35).map { $0 % 5 != 3 && !(8..<12).contains($0) })
