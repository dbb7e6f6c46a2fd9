/// What shall go wrong in a simulated acquisition, and how often.
///
/// Written as words with commas between them, such as `drop=0.01,duplicate=0.01,garbage-before,abort-at=100`. Frames are
/// counted from 1, as the detector does; probabilities are per frame, from 0 to 1; durations end in `ms` or `s`.
///
/// | word | what happens |
/// |---|---|
/// | `drop=P`, `drop-first`, `drop-middle`, `drop-last`, `drop-at=K` | the frame is not sent |
/// | `duplicate=P`, `duplicate-at=K` | the frame is sent twice |
/// | `reorder=P` | the frame changes places with the next one |
/// | `truncate=P`, `truncate-at=K` | only the beginning of the message is sent |
/// | `wrong-length=P`, `wrong-length-at=K` | the length before the message is wrong by up to 64 |
/// | `garbage=P`, `garbage-at=K` | random bytes, partly looking like a message, before the frame |
/// | `garbage-before` | the same before the acquisition header |
/// | `nul=P` | NUL bytes before the frame |
/// | `header-twice`, `header-at=K` | the acquisition header again, at once or before frame K |
/// | `stall-at=K` or `stall-at=K:3s` | a pause before the frame (1 s) |
/// | `trickle-at=K` or `trickle-at=K:3s` | the frame is sent in small pieces over that time (1 s) |
/// | `abort-at=K` | the acquisition ends before the frame, without a mark, as by ABORT |
/// | `half-close-at=K` | the detector ends its side of the connection before the frame |
/// | `reset-at=K` | the connection is reset in the middle of the frame |
/// | `runs=N` | only the first N acquisitions are faulty |
///
/// K may be several numbers and ranges, `5+17+30-40`, where more than one makes sense. A probability of several faults
/// is drawn for each frame in a fixed order from (seed, acquisition, frame), so that adding a fault does not move the
/// others.
public struct FaultPlan: Sendable, Hashable {
    /// Faults that are drawn by probability.
    public enum Kind: Int, Sendable, Hashable, CaseIterable {
        case drop, duplicate, reorder, truncate, wrongLength, garbage, nul
    }

    /// A fault of one frame that takes time.
    public struct Timed: Sendable, Hashable {
        /// From 1.
        public var frame: Int
        public var duration: Duration

        public init(frame: Int, duration: Duration) {
            self.frame = frame
            self.duration = duration
        }
    }

    /// How an acquisition ends early.
    public enum Ending: Sendable, Hashable {
        case abort, halfClose, reset
    }

    /// Probability of each kind, by `rawValue`.
    var probabilities = [Double](repeating: 0, count: Kind.allCases.count)
    /// Frames that a kind always hits, by `rawValue`; from 1.
    var listed = [[ClosedRange<Int>]](repeating: [], count: Kind.allCases.count)

    public var dropsFirst = false
    public var dropsMiddle = false
    public var dropsLast = false
    public var garbageBefore = false
    public var headerTwice = false
    /// The acquisition header comes again before this frame.
    public var headerAt: Int?
    public var stall: Timed?
    public var trickle: Timed?
    /// The acquisition ends before (or, for a reset, within) this frame.
    public var ending: (frame: Int, how: Ending)? {
        get { endingFrame.map { ($0, endingKind) } }
        set { (endingFrame, endingKind) = (newValue?.frame, newValue?.how ?? .abort) }
    }
    /// Number of acquisitions that are faulty, from the first on; nil for all.
    public var runs: Int?

    private var endingFrame: Int?
    private var endingKind = Ending.abort

    /// A plan in which nothing goes wrong.
    public init() {}

    /// Whether nothing goes wrong.
    public var isEmpty: Bool { self == FaultPlan() || runs == 0 }

    /// Whether anything goes wrong in an acquisition, counted from 0.
    public func applies(to acquisition: UInt64) -> Bool {
        !isEmpty && runs.map { acquisition < UInt64(max(0, $0)) } ?? true
    }

    public func probability(_ kind: Kind) -> Double { probabilities[kind.rawValue] }

    public mutating func setProbability(_ kind: Kind, _ probability: Double) {
        probabilities[kind.rawValue] = min(1, max(0, probability))
    }

    /// Makes a fault certain for some frames, counted from 1.
    public mutating func add(_ kind: Kind, frames: ClosedRange<Int>) {
        listed[kind.rawValue].append(frames)
    }
}

/// A word of a fault specification that cannot be understood.
public struct FaultPlanError: Error, Sendable, Hashable, CustomStringConvertible {
    public let word: String
    public let reason: String

    public var description: String { "faults: “\(word)”: \(reason)" }
}

extension FaultPlan {
    /// Reads a specification; an empty one is a plan without faults.
    public init(_ specification: String) throws(FaultPlanError) {
        self.init()
        for word in specification.split(separator: ",") {
            let word = word.filter { $0 != " " }
            guard !word.isEmpty else { continue }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? String(parts[1]) : nil
            try read(String(parts[0]), FaultValue(word: word, text: value))
        }
    }

    private mutating func read(_ name: String, _ value: FaultValue) throws(FaultPlanError) {
        switch name {
        case "drop", "duplicate", "reorder", "truncate", "wrong-length", "garbage", "nul":
            setProbability(Self.kind(name)!, try value.probability())
        case "drop-at", "duplicate-at", "truncate-at", "wrong-length-at", "garbage-at":
            for frames in try value.frames() { add(Self.kind(String(name.dropLast(3)))!, frames: frames) }
        case "drop-first": dropsFirst = try value.flag()
        case "drop-middle": dropsMiddle = try value.flag()
        case "drop-last": dropsLast = try value.flag()
        case "garbage-before": garbageBefore = try value.flag()
        case "header-twice": headerTwice = try value.flag()
        case "header-at": headerAt = try value.frame()
        case "stall-at": stall = try value.timed()
        case "trickle-at": trickle = try value.timed()
        case "abort-at", "half-close-at", "reset-at":
            guard ending == nil else { throw value.error("an acquisition can end early only once") }
            let how: Ending = name == "abort-at" ? .abort : name == "reset-at" ? .reset : .halfClose
            ending = (try value.frame(), how)
        case "runs": runs = try value.frame()
        default: throw value.error("no such fault")
        }
    }

    private static func kind(_ name: String) -> Kind? {
        switch name {
        case "drop": .drop
        case "duplicate": .duplicate
        case "reorder": .reorder
        case "truncate": .truncate
        case "wrong-length": .wrongLength
        case "garbage": .garbage
        case "nul": .nul
        default: nil
        }
    }
}

/// The part of a fault word behind its `=`.
private struct FaultValue {
    let word: String
    let text: String?

    func error(_ reason: String) -> FaultPlanError { FaultPlanError(word: word, reason: reason) }

    func flag() throws(FaultPlanError) -> Bool {
        guard text == nil else { throw error("this fault takes no value") }
        return true
    }

    func probability() throws(FaultPlanError) -> Double {
        guard let text, let value = Double(text), (0...1).contains(value) else {
            throw error("a probability from 0 to 1 is needed, such as =0.01")
        }
        return value
    }

    func frame() throws(FaultPlanError) -> Int {
        guard let text, let value = Int(text), value > 0 else { throw error("a number from 1 is needed, such as =100") }
        return value
    }

    func frames() throws(FaultPlanError) -> [ClosedRange<Int>] {
        var result: [ClosedRange<Int>] = []
        for part in (text ?? "").split(separator: "+", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
            guard (1...2).contains(ends.count), ends[0] > 0, ends[ends.count - 1] >= ends[0] else {
                throw error("frame numbers from 1 are needed, such as =5+17 or =5-17")
            }
            result.append(ends[0]...ends[ends.count - 1])
        }
        return result
    }

    func timed() throws(FaultPlanError) -> FaultPlan.Timed {
        let parts = (text ?? "").split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let frame = Int(parts[0]), frame > 0 else {
            throw error("a frame number from 1 is needed, such as =100 or =100:3s")
        }
        guard parts.count == 2 else { return FaultPlan.Timed(frame: frame, duration: .seconds(1)) }
        let isMilliseconds = parts[1].hasSuffix("ms")
        let unit = isMilliseconds ? 2 : 1
        guard parts[1].hasSuffix("s"), let number = Double(parts[1].dropLast(unit)), (0...86_400_000).contains(number)
        else { throw error("a duration ends in ms or s, such as :500ms or :3s") }
        return FaultPlan.Timed(frame: frame, duration: .milliseconds(Int(number * (isMilliseconds ? 1 : 1000))))
    }
}
