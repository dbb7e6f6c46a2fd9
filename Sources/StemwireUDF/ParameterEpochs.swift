/// The times between changes of one UDF's parameters, and which of them made each row of its nav buffers.
///
/// A run's generation rises with every change of any UDF's parameters; an epoch of a UDF spans all generations in which
/// its own stayed the same.
struct ParameterEpochs: Sendable {
    /// The generation in which each epoch began, rising.
    private var starts: [UInt32]
    /// Rows that were made before this epoch have another layout.
    private var firstOfLayout = 0
    /// For each position the index of the epoch that made its row; kept only when there has been more than one.
    private var indices: [UInt32]?

    init(_ generation: UInt32) { starts = [generation] }

    var count: Int { starts.count }

    /// The generation since which the present parameters are in force.
    var generation: UInt32 { starts[starts.count - 1] }

    /// Whether the present parameters are those of this generation.
    func isCurrent(_ generation: UInt32) -> Bool { generation >= self.generation }

    /// Begins an epoch.
    ///
    /// - Parameter keepsRows: Whether rows of earlier epochs have the layout of those to come.
    mutating func begin(_ generation: UInt32, positionCount: Int, keepsRows: Bool) {
        precondition(generation > self.generation)
        if indices == nil { indices = Array(repeating: 0, count: positionCount) }
        starts.append(generation)
        if !keepsRows { firstOfLayout = starts.count - 1 }
    }

    /// The epoch of a generation, if rows that were made then fit among the present ones.
    func index(ofRowsMadeWith generation: UInt32) -> Int? {
        guard let index = starts.lastIndex(where: { $0 <= generation }), index >= firstOfLayout else { return nil }
        return index
    }

    /// The epoch that made the row of a position that has one.
    func index(at position: Int) -> Int { indices.map { Int($0[position]) } ?? 0 }

    /// The last generation of the epoch that made the row of a position that has one; nil for the present epoch.
    func lastGeneration(at position: Int) -> UInt32? {
        let next = index(at: position) + 1
        return next < starts.count ? starts[next] - 1 : nil
    }

    mutating func mark(_ positions: Range<Int>, index: Int) {
        for position in positions { indices?[position] = UInt32(index) }
    }

    mutating func markCurrent(_ positions: Range<Int>) { mark(positions, index: starts.count - 1) }
}
