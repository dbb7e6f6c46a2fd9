import StemwireProtocol

/// What a tile subscription knows of one acquisition.
struct TileProgress: Sendable {
    let acquisition: AcquisitionUUID
    let generation: UInt64
    private(set) var start: AcquisitionStart?
    var end: AcquisitionEnd?
    /// Whether tiles were published before the subscription began.
    var joinedLate = false
    /// Positions that were delivered.
    var received = PositionSet()
    /// Positions that were told as a gap.
    var announced = PositionSet()
    /// Positions that will not be delivered, which the consumer was told.
    private(set) var waived = PositionSet()
    /// Those of them that the server did place.
    private var waivedPlaced = PositionSet()
    /// One behind the last position heard of.
    var highWater = 0
    var repair = RepairPlan()
    /// When nothing more is expected; known once the acquisition is over.
    var settlesAt: ContinuousClock.Instant?
    var isSettled = false
    /// Whether a snapshot taken after its beginning did not tell the start: no readable frame came.
    var startIsUnknown = false
    private var hasTiles = false

    init(acquisition: AcquisitionUUID, generation: UInt64) {
        self.acquisition = acquisition
        self.generation = generation
    }

    mutating func begin(_ start: AcquisitionStart) { self.start = start }

    /// Positions delivered, told or given up.
    var covered: PositionSet {
        var covered = received
        covered.formUnion(announced)
        covered.formUnion(waived)
        return covered
    }

    /// Whether nothing more can come: a start that was lost has been asked for, and is worth the wait.
    var isComplete: Bool { hasAllPlaced && startIsSettled }

    /// Whether the start was told, or the server does not know it either.
    var startIsSettled: Bool { start != nil || startIsUnknown }

    /// Whether all frames that the server placed were delivered or given up.
    var hasAllPlaced: Bool {
        guard let end else { return false }
        return received.count + waivedPlaced.count >= end.accounting.placed
            && (end.accounting.placed > 0 || !hasTiles)
    }

    /// Positions that should have come and did not; known once the acquisition is over.
    var remaining: [Range<Int>] {
        guard let end, !hasAllPlaced else { return [] }
        var done = received
        done.formUnion(waived)
        for range in end.accounting.missingRanges { done.insert(range) }
        return done.gaps(in: 0..<max(end.accounting.expected, start?.framesExpected ?? 0))
    }

    /// Positions that were told as a gap and that the detector never sent.
    var announcedMissing: [Range<Int>] {
        guard let end else { return [] }
        var open = announced
        open.subtract(received)
        open.subtract(waived)
        return end.accounting.missingRanges.flatMap { open.members(in: $0) }
    }

    /// ``remaining``, as far as it was not told yet.
    var remainingGap: TileGap? {
        var untold = PositionSet(remaining)
        untold.subtract(announced)
        guard !untold.isEmpty else { return nil }
        return TileGap(acquisition: acquisition, generation: generation, positions: untold.ranges, cause: .lost)
    }

    /// The gap that a live tile at `positions` leaves behind it.
    mutating func gap(before positions: Range<Int>, observation: SequenceTracker.Observation) -> TileGap? {
        defer {
            highWater = max(highWater, positions.upperBound)
            hasTiles = true
        }
        guard positions.lowerBound > highWater else { return nil }
        let open = covered.gaps(in: highWater..<positions.lowerBound)
        guard !open.isEmpty else { return nil }
        let cause: TileGap.Cause =
            switch observation {
            case _ where joinedLate && !hasTiles: .beforeJoining
            case .next, .stale: .skipped
            case .first, .jump: .lost
            }
        return TileGap(acquisition: acquisition, generation: generation, positions: open, cause: cause)
    }

    /// Positions will not be delivered.
    ///
    /// - Parameter arePlaced: whether the server is known to have had them.
    mutating func waive(_ positions: Range<Int>, arePlaced: Bool) {
        waived.insert(positions)
        if arePlaced { waivedPlaced.insert(positions) }
    }

    /// New positions are delivered.
    mutating func take(_ positions: Range<Int>) {
        received.insert(positions)
        waived.remove(positions)
        waivedPlaced.remove(positions)
        repair.forget(positions)
        hasTiles = true
    }

    /// An end for an acquisition whose own was never told.
    func untoldEnd(_ reason: AcquisitionEnd.Reason) -> AcquisitionEnd {
        AcquisitionEnd(
            acquisition: acquisition, generation: generation, reason: reason,
            framesExpected: start?.framesExpected ?? highWater, navShape: start?.navShape ?? [])
    }
}
