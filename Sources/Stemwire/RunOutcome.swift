import StemwireAcquisition
import StemwireKernels
import StemwireUDF

/// What a run gave: the acquisition's accounting and the channels of its UDFs.
public struct RunOutcome: Sendable {
    /// Scan shape, slow axis first.
    public let navShape: [Int]
    /// Image shape (y, x).
    public let sigShape: [Int]
    /// The type of the decoded pixels.
    public let dtype: DType
    public let accounting: Accounting
    public let endReason: EndReason
    /// From the first frame to the last.
    public let seconds: Double
    /// From the first frame to the final results; nil where they are made elsewhere, by another clock.
    public internal(set) var secondsToResult: Double?
    /// The keys and values of the acquisition header, in its order; empty where there was none.
    public let acquisitionHeader: [(key: String, value: String)]
    /// The UDFs as they were asked for.
    public let udfs: [UDFRequest]
    public let channels: [Channel]
    /// Scan positions (flat, slow axis first) that all UDFs have processed.
    public let processedPositions: PositionSet
    /// Scan positions that were to be processed: all of them, or the region of interest.
    public let selected: Int
    /// What did not fit at the start, in words, such as a nav shape that takes more frames than were announced.
    public let warnings: [String]
    /// What went wrong in a UDF, if something did.
    public internal(set) var udfError: String?
    /// The generation of the run's parameters: how often they were changed while it went on.
    public internal(set) var parameterGeneration: UInt32 = 0
    /// Which generation of parameters processed positions (flat, slow axis first) were made with, or agree with; empty
    /// when there has been one only.
    public internal(set) var generations: [(positions: Range<Int>, generation: UInt32)] = []
    /// What was done to every frame before any UDF saw it; nil for nothing.
    public internal(set) var corrections: Corrections?
    /// What went wrong while results were shown, if something did; the results do not suffer.
    public internal(set) var plotErrors: [String] = []

    /// One result.
    public struct Channel: Sendable {
        /// The UDF's id in the run, and the channel's name.
        public let udf: String
        public let name: String
        public let kind: BufferDeclaration.Kind
        /// All of it: nav shape + extra, sig shape (y, x) + extra, or extra.
        public let array: ResultArray
        /// Of nav channels, one bit a position (lowest bit first): where there is a value.
        public let validBitmap: [UInt8]

        /// The name of its file, without ending.
        public var fileName: String { "\(udf).\(name)" }

        /// Sizes of the axes, slowest first.
        public var shape: [Int] { array.shape }
        public var dtype: DType { array.dtype }

        /// Of nav channels, whether there is a value at `position`.
        public func isValid(at position: Int) -> Bool { validBitmap[position / 8] >> UInt8(position % 8) & 1 == 1 }

        /// Of nav channels, one `Bool` for each scan position (flat, slow axis first): whether there is a value. Nil for
        /// the other kinds.
        public var valid: [Bool]? {
            guard kind == .nav else { return nil }
            return (0..<min(validBitmap.count * 8, array.count)).map { isValid(at: $0) }
        }
    }

    /// Frames that were placed, in a second.
    public var framesPerSecond: Double { seconds > 0 ? Double(accounting.placed) / seconds : 0 }

    /// How many positions all UDFs have processed.
    public var processed: Int { processedPositions.count }

    /// Whether every position has its frame and every frame that was to be processed is.
    public var isComplete: Bool { incompleteness == nil }

    /// What is missing of a complete result; nil when it is complete. What is there can be used in any case.
    public var incompleteness: Incompleteness? {
        guard !accounting.isComplete || processed != selected || udfError != nil else { return nil }
        return Incompleteness(
            expected: accounting.expected, placed: accounting.placed, missingRanges: accounting.missingRanges,
            rejectedRanges: accounting.rejectedRanges, unprocessed: selected - processed, endReason: endReason,
            udfError: udfError)
    }

    func made(with corrections: Corrections?) -> RunOutcome {
        var outcome = self
        outcome.corrections = corrections
        return outcome
    }

    /// The outcome itself where it is complete.
    ///
    /// - Throws: `IncompleteRun`, which carries the outcome, where it is not.
    public func complete() throws(IncompleteRun) -> RunOutcome {
        guard let incompleteness else { return self }
        throw IncompleteRun(outcome: self, incompleteness: incompleteness)
    }

    /// How far each scan position came: missing, received, or processed by all UDFs.
    public var coverage: Coverage {
        var coverage = Coverage(size: accounting.expected)
        var next = 0
        let absent = (accounting.missingRanges + accounting.rejectedRanges).sorted { $0.lowerBound < $1.lowerBound }
        for range in absent where range.upperBound <= accounting.expected {
            coverage.markReceived(next..<max(next, range.lowerBound))
            next = max(next, range.upperBound)
        }
        coverage.markReceived(next..<accounting.expected)
        for range in processedPositions.ranges where range.upperBound <= accounting.expected {
            coverage.markProcessed(range, generation: 0)
        }
        return coverage
    }

    /// A channel of the UDF with this id.
    public func channel(udf: String, name: String = "intensity") -> Channel? { channels.channel(udf, name) }

    /// A channel of the UDF with this id, such as `outcome["com", "field_x"]`.
    public subscript(udf: String, channel: String = "intensity") -> Channel? { channels.channel(udf, channel) }

    /// The run in words that other programs rely on: what `run.json` holds.
    public func json() -> String {
        let ranges = accounting.missingRanges.map { range in
            ParameterValue.list([.integer(Int64(range.lowerBound)), .integer(Int64(range.upperBound))])
        }
        let integer = { (value: Int) in ParameterValue.integer(Int64(value)) }
        var header: [String: ParameterValue] = [:]
        for (key, value) in acquisitionHeader where header[key] == nil { header[key] = .text(value) }
        let values: [String: ParameterValue] = [
            "nav_shape": .list(navShape.map(integer)),
            "sig_shape": .list(sigShape.map(integer)),
            "dtype": .text(dtype.rawValue),
            "frames_expected": integer(accounting.expected),
            "frames_placed": integer(accounting.placed),
            "frames_missing": integer(accounting.missing),
            "frames_duplicate": integer(accounting.duplicates),
            "frames_rejected": integer(accounting.rejected),
            "frames_stray": integer(accounting.strays),
            "frames_processed": integer(processed),
            "garbage_bytes": integer(accounting.garbageBytes),
            "missing_ranges": .list(ranges),
            "end_reason": .text(endReason.rawValue),
            "seconds": .number(seconds),
            "seconds_to_result": secondsToResult.map { .number($0) } ?? .null,
            "frames_per_second": .number(framesPerSecond),
            "udfs": .list(
                udfs.map { udf in
                    .object(["id": .text(udf.id), "name": .text(udf.name), "parameters": .object(udf.parameters)])
                }),
            "corrections": .list(
                [
                    ("dark", corrections?.dark != nil), ("gain", corrections?.gain != nil),
                    ("excluded", corrections?.excluded != nil),
                ].filter(\.1).map { .text($0.0) }),
            "udf_error": udfError.map { .text($0) } ?? .null,
            "acquisition_header": .object(header),
        ]
        return ParameterValue.object(values).json
    }
}

extension [RunOutcome.Channel] {
    func channel(_ udf: String, _ name: String) -> RunOutcome.Channel? {
        first { $0.udf == udf && $0.name == name }
    }
}

/// What an incomplete run lacks.
public struct Incompleteness: Sendable, Hashable, CustomStringConvertible {
    /// Scan positions, and those of them that have their frame.
    public let expected: Int
    public let placed: Int
    /// Positions without a frame, and those whose frames were unusable; flat, slow axis first.
    public let missingRanges: [Range<Int>]
    public let rejectedRanges: [Range<Int>]
    /// Positions that were to be processed and were not, for want of a frame or for a failure of a UDF.
    public let unprocessed: Int
    public let endReason: EndReason
    public let udfError: String?

    public var description: String {
        var parts: [String] = []
        if placed < expected {
            parts.append("\(placed) of \(expected) frames came; the acquisition ended: \(endReason.rawValue)")
        }
        if unprocessed > 0 { parts.append("\(unprocessed) scan positions were not processed") }
        if let udfError { parts.append("a UDF failed: \(udfError)") }
        return parts.joined(separator: "; ")
    }
}

/// An incomplete run where a complete one was asked for. It carries what is there.
public struct IncompleteRun: Error, Sendable, CustomStringConvertible {
    public let outcome: RunOutcome
    public let incompleteness: Incompleteness
    public var description: String { "the run is incomplete: \(incompleteness)" }
}
