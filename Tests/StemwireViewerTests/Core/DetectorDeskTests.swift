import StemwireClient
import StemwireTestSupport
import Testing

@testable import StemwireViewer

@Suite("Virtual detectors") struct DetectorDeskTests {
    private let now = ContinuousClock.now

    private func disk(_ radius: Int, id: String = "d") -> VirtualDetector {
        VirtualDetector(id: id, udf: "disk", parameters: ["r": "\(radius)"])
    }

    private func selection(_ radius: Int) -> UDFSelection {
        UDFSelection("disk", id: "d", parameters: ["r": "\(radius)"])
    }

    @Test func whileARequestIsUnderWayOnlyTheLastWishCounts() throws {
        var desk = DetectorDesk(mark: "m")
        #expect(try desk.want(disk(1), page: 1, now: now) == [.start(detector: "d", run: "view-d-m1", selection(1))])
        #expect(try desk.want(disk(2), page: 1, now: now) == [])
        #expect(try desk.want(disk(3), page: 1, now: now) == [])
        #expect(desk.done("d", run: "view-d-m1", now: now) == [.change(detector: "d", run: "view-d-m1", selection(3))])
        #expect(desk.done("d", run: "view-d-m1", now: now) == [])
        #expect(desk.entries["d"]?.applied == disk(3))
        #expect(try desk.want(disk(3), page: 1, now: now) == [])
    }

    @Test func whereRunsCannotBeChangedANewOneTakesThePlace() throws {
        var desk = DetectorDesk(mark: "m")
        _ = try desk.want(disk(1), page: 1, now: now)
        _ = desk.done("d", run: "view-d-m1", now: now)
        #expect(try desk.want(disk(2), page: 1, now: now) == [.change(detector: "d", run: "view-d-m1", selection(2))])
        #expect(
            desk.failed("d", run: "view-d-m1", .cannotChange, now: now)
                == [.start(detector: "d", run: "view-d-m2", selection(2))])
        #expect(desk.done("d", run: "view-d-m2", now: now) == [.stop(run: "view-d-m1")])
        // The former run is shown until the new one has something.
        #expect(desk.entries["d"]?.runs == ["view-d-m2", "view-d-m1"])
        // Not sixty runs a second.
        #expect(try desk.want(disk(3), page: 1, now: now) == [])
        #expect(try desk.want(disk(4), page: 1, now: now) == [])
        #expect(desk.tick(now: now + .milliseconds(100)) == [])
        #expect(
            desk.tick(now: now + DetectorDesk.leastRun) == [.start(detector: "d", run: "view-d-m3", selection(4))])
    }

    @Test func aRefusalIsToldAndTheNextWishTried() throws {
        var desk = DetectorDesk(mark: "m")
        _ = try desk.want(disk(1), page: 1, now: now)
        #expect(desk.failed("d", run: "view-d-m1", .other("64 runs"), now: now) == [])
        #expect(desk.entries["d"]?.problem == "64 runs")
        #expect(try desk.want(disk(1), page: 1, now: now).count == 1)
        #expect(try desk.want(disk(2), page: 1, now: now) == [])
        // Refused, but meanwhile another one was wanted.
        #expect(desk.failed("d", run: "view-d-m2", .other("64 runs"), now: now).count == 1)
        #expect(desk.done("d", run: "view-d-m3", now: now) == [])
        #expect(desk.entries["d"]?.problem == nil)
    }

    @Test func whatNobodyHoldsIsLetGo() throws {
        let start = now
        var desk = DetectorDesk(mark: "m", linger: .seconds(30))
        _ = try desk.want(disk(1), page: 1, now: now)
        _ = desk.done("d", run: "view-d-m1", now: now)
        _ = try desk.want(disk(1), page: 2, now: now)
        desk.gone(page: 1, now: start)
        desk.gone(page: 2, now: start)
        #expect(desk.tick(now: start + .seconds(29)) == [])
        // The page was loaded again.
        _ = try desk.want(disk(1), page: 3, now: now)
        #expect(desk.tick(now: start + .seconds(60)) == [])
        desk.gone(page: 3, now: start + .seconds(60))
        #expect(desk.tick(now: start + .seconds(90)) == [.stop(run: "view-d-m1")])
        #expect(desk.entries.isEmpty)
    }

    @Test func whatIsRemovedUnderWayIsStoppedWhenItIsThere() throws {
        var desk = DetectorDesk(mark: "m")
        _ = try desk.want(disk(1), page: 1, now: now)
        #expect(desk.drop("d", page: 2) == [])
        #expect(desk.drop("d", page: 1) == [])
        #expect(desk.done("d", run: "view-d-m1", now: now) == [.stop(run: "view-d-m1")])
    }

    @Test func afterARestartOfTheServerAllIsAskedForAgain() throws {
        var desk = DetectorDesk(mark: "m")
        _ = try desk.want(disk(1), page: 1, now: now)
        _ = desk.done("d", run: "view-d-m1", now: now)
        #expect(desk.serverRestarted(now: now) == [.start(detector: "d", run: "view-d-m2", selection(1))])
        #expect(desk.retry(now: now) == [])
        #expect(desk.failed("d", run: "view-d-m2", .other("not connected"), now: now) == [])
        #expect(desk.retry(now: now) == [.start(detector: "d", run: "view-d-m3", selection(1))])
    }

    @Test func thereAreLimits() throws {
        var desk = DetectorDesk(mark: "m")
        for number in 0..<DetectorDesk.perPage { _ = try desk.want(disk(1, id: "d\(number)"), page: 1, now: now) }
        #expect(throws: ViewerRequestError.self) { try desk.want(disk(1, id: "more"), page: 1, now: now) }
        for number in 0..<DetectorDesk.limit - DetectorDesk.perPage {
            _ = try desk.want(disk(1, id: "e\(number)"), page: 10 + number, now: now)
        }
        #expect(throws: ViewerRequestError.self) { try desk.want(disk(1, id: "more"), page: 99, now: now) }
        // What is there can still be moved.
        _ = try desk.want(disk(2, id: "d0"), page: 1, now: now)
    }

    /// Random wishes, refusals and restarts: in the end the server has what was wanted last, and nothing else.
    @Test(arguments: 0..<200) func inTheEndTheServerHasWhatWasWanted(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var desk = DetectorDesk(mark: "m")
        var server: [String: UDFSelection] = [:]
        var underWay: [DetectorDesk.Action] = []
        let canChange = Bool.random(using: &random)
        var now = self.now
        func answer(_ action: DetectorDesk.Action) -> [DetectorDesk.Action] {
            switch action {
            case .stop(let run):
                server[run] = nil
                return []
            case .start(let id, let run, let selection):
                if Int.random(in: 0..<8, using: &random) == 0 {
                    return desk.failed(id, run: run, .other("refused"), now: now)
                }
                server[run] = selection
                return desk.done(id, run: run, now: now)
            case .change(let id, let run, let selection):
                guard canChange, server[run] != nil else {
                    return desk.failed(
                        id, run: run, canChange ? .runIsGone : .cannotChange, now: now)
                }
                server[run] = selection
                return desk.done(id, run: run, now: now)
            }
        }
        for step in 0..<60 {
            let id = "d\(Int.random(in: 0..<3, using: &random))"
            switch Int.random(in: 0..<10, using: &random) {
            case 0: underWay += desk.drop(id, page: 1)
            case 1...6: underWay += try desk.want(disk(step, id: id), page: 1, now: now)
            default:
                if !underWay.isEmpty { underWay += answer(underWay.removeFirst()) }
            }
        }
        while !underWay.isEmpty || desk.entries.values.contains(where: { $0.applied != $0.wanted }) {
            if underWay.isEmpty { underWay = desk.retry(now: now) }
            if !underWay.isEmpty { underWay += answer(underWay.removeFirst()) }
            now += DetectorDesk.leastRun
            underWay += desk.tick(now: now)
        }
        let wanted = desk.entries.values.map {
            UDFSelection("disk", id: $0.wanted.id, parameters: $0.wanted.parameters)
        }
        #expect(Set(server.values) == Set(wanted) && server.count == wanted.count)
    }
}
