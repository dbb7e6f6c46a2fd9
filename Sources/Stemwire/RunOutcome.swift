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
    /// The keys and values of the acquisition header, in its order; empty where there was none.
    public let acquisitionHeader: [(key: String, value: String)]
    /// The UDFs as they were asked for.
    public let udfs: [UDFRequest]
    public let channels: [Channel]
    /// Positions that all UDFs have processed.
    public let processed: Int
    /// What went wrong in a UDF, if something did.
    public internal(set) var udfError: String?

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

        /// Of nav channels, whether there is a value at `position`.
        public func isValid(at position: Int) -> Bool { validBitmap[position / 8] >> UInt8(position % 8) & 1 == 1 }
    }

    /// Frames that were placed, in a second.
    public var framesPerSecond: Double { seconds > 0 ? Double(accounting.placed) / seconds : 0 }

    /// Whether every position has its frame and every frame was processed.
    public var isComplete: Bool { accounting.isComplete && processed == accounting.expected && udfError == nil }

    public func channel(udf: String, name: String = "intensity") -> Channel? {
        channels.first { $0.udf == udf && $0.name == name }
    }

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
            "frames_per_second": .number(framesPerSecond),
            "udfs": .list(
                udfs.map { udf in
                    .object(["id": .text(udf.id), "name": .text(udf.name), "parameters": .object(udf.parameters)])
                }),
            "udf_error": udfError.map { .text($0) } ?? .null,
            "acquisition_header": .object(header),
        ]
        return ParameterValue.object(values).json
    }
}
