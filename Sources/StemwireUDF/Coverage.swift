/// How far a scan position has come.
public enum PositionState: UInt8, Sendable, Hashable, CaseIterable, Codable {
    /// No frame yet, or never.
    case missing = 0
    /// The frame has been placed.
    case received = 1
    /// The frame is in the recording.
    case recorded = 2
    /// The frame is in the results.
    case processed = 3
    /// A UDF failed on the frame's partition.
    case failed = 4
}

/// For each scan position how far it has come, and which generation of parameters made its result.
///
/// LiberTEM calls the processed part *damage*. A value; positions are flat nav indices (y-major).
public struct Coverage: Sendable, Hashable {
    private var states: [UInt8]
    /// Kept only when there has been more than one generation.
    private var generations: [UInt32]?
    private var firstGeneration: UInt32
    private var counts: [Int]

    /// All positions missing.
    ///
    /// - Parameter generation: The generation of parameters the run begins with.
    public init(size: Int, generation: UInt32 = 0) {
        states = Array(repeating: PositionState.missing.rawValue, count: size)
        firstGeneration = generation
        counts = Array(repeating: 0, count: PositionState.allCases.count)
        counts[0] = size
    }

    /// The number of scan positions.
    public var size: Int { states.count }

    /// How many positions are in this state now.
    public func count(_ state: PositionState) -> Int { counts[Int(state.rawValue)] }

    public subscript(position: Int) -> PositionState { PositionState(rawValue: states[position])! }

    /// The newest generation of parameters that the position's results agree with; nil when it is not processed.
    ///
    /// That is the generation they were made with, or a later one that changed nothing about them. A seam between two
    /// generations is where results differ in their parameters.
    public func generation(at position: Int) -> UInt32? {
        guard self[position] == .processed else { return nil }
        return generations?[position] ?? firstGeneration
    }

    /// The frames at these positions have been placed. Changes only positions that were missing.
    public mutating func markReceived(_ positions: Range<Int>) { raise(positions, to: .received) }

    /// The frames at these positions are recorded. Changes positions that were missing or received.
    public mutating func markRecorded(_ positions: Range<Int>) { raise(positions, to: .recorded) }

    /// The frames at these positions are in the results, which agree with the parameters of this generation. A failed
    /// position is redeemed by it.
    public mutating func markProcessed(_ positions: Range<Int>, generation: UInt32) {
        if generation != firstGeneration && generations == nil {
            generations = Array(repeating: firstGeneration, count: size)
        }
        for position in positions {
            change(position, to: .processed)
            generations?[position] = generation
        }
    }

    /// The frames at these positions are not in the results any more: other parameters are in force. Changes only
    /// positions that were processed; their frames have been placed.
    public mutating func markOutdated(_ positions: Range<Int>) {
        for position in positions where states[position] == PositionState.processed.rawValue {
            change(position, to: .received)
        }
    }

    /// The work on these positions failed. Positions that are processed stay so.
    public mutating func markFailed(_ positions: Range<Int>) {
        for position in positions where states[position] != PositionState.processed.rawValue {
            change(position, to: .failed)
        }
    }

    /// The positions in this state as ranges, rising.
    public func ranges(_ state: PositionState) -> [Range<Int>] {
        runs(0..<size) { states[$0] == state.rawValue ? true : nil }.map(\.0)
    }

    /// The processed positions as ranges with the generation of parameters that made them, rising.
    public var processedGenerations: [(positions: Range<Int>, generation: UInt32)] {
        runs(0..<size) { generation(at: $0) }.map { (positions: $0.0, generation: $0.1) }
    }

    private mutating func raise(_ positions: Range<Int>, to state: PositionState) {
        for position in positions where states[position] < state.rawValue { change(position, to: state) }
    }

    private mutating func change(_ position: Int, to state: PositionState) {
        counts[Int(states[position])] -= 1
        counts[Int(state.rawValue)] += 1
        states[position] = state.rawValue
    }

    private func runs<Value: Equatable>(_ range: Range<Int>, _ value: (Int) -> Value?) -> [(Range<Int>, Value)] {
        var result: [(Range<Int>, Value)] = []
        for position in range {
            guard let now = value(position) else { continue }
            if let last = result.last, last.0.upperBound == position, last.1 == now {
                result[result.count - 1].0 = last.0.lowerBound..<position + 1
            } else {
                result.append((position..<position + 1, now))
            }
        }
        return result
    }
}
