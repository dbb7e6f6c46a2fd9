import StemwireAcquisition
import StemwireProtocol
import StemwireUDF

/// Requests that take as long as acquisitions: wait, scan.
extension ControlOperations {
    /// How often progress is told.
    private static let progressInterval = Duration.milliseconds(250)
    /// Acquisitions of a series that its answer tells of.
    private static let reportedAcquisitions = 32
    /// What is left of a deadline for ending what could not be finished.
    private static let reserve = Duration.milliseconds(500)

    // MARK: wait

    func wait(_ wanted: WireWaitRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            let generation = try awaitedGeneration(wanted)
            let summary = try await ended(generation, deadline, mayStillBegin: wanted.generation > 0) { _, _ in }
            await drained(summary.generation, deadline)
            var reply = WireReply()
            reply.scan.acquisitions = [status.acquisition(summary)]
            reply.scan.done = 1
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    private func awaitedGeneration(_ wanted: WireWaitRequest) throws(RequestFailure) -> UInt64 {
        if wanted.generation > 0 { return wanted.generation }
        let generation = receiver.counters.generation
        if receiver.counters.state != .idle { return generation }
        // Armed, and the header is on its way.
        if status.state == "armed" { return generation + 1 }
        guard generation > 0, receiver.counters.endedAcquisitions > 0 else {
            throw RequestFailure(code: .notFound, message: "no acquisition has begun yet; arm the detector first")
        }
        return generation
    }

    /// Waits until an acquisition of this generation or a later one has ended.
    ///
    /// - Parameters:
    ///   - mayStillBegin: whether it may be armed only later.
    ///   - onProgress: told now and then how many frames there are.
    func ended(
        _ generation: UInt64, _ deadline: ContinuousClock.Instant, mayStillBegin: Bool = false,
        onProgress: @Sendable (_ placed: Int, _ expected: Int) -> Void
    ) async throws(RequestFailure) -> AcquisitionSummary {
        var told = -1
        let began = ContinuousClock.now
        while true {
            let turn = min(deadline, .now + Self.progressInterval)
            let isOver: @Sendable () -> Bool = { [table] in table.summaries.contains { $0.generation >= generation } }
            let isLost: @Sendable () -> Bool = { [status] in
                status.state == "disconnected" || (!mayStillBegin && status.state == "idle")
            }
            _ = await wait(until: turn, since: began) { isOver() || isLost() }
            // The end is told after the state.
            if isLost() { _ = await wait(until: min(deadline, .now + Self.reserve), isOver) }
            if let summary = table.summaries.first(where: { $0.generation >= generation }) { return summary }
            let counters = receiver.counters
            if counters.generation >= generation, counters.positionsPlaced != told {
                told = counters.positionsPlaced
                onProgress(told, counters.positionsExpected)
            }
            if status.state == "disconnected" {
                throw RequestFailure(
                    code: .detectorUnreachable,
                    message:
                        "the detector's data connection was lost before the acquisition began: \(status.lossReason)")
            }
            if isLost() {
                throw RequestFailure(
                    code: .wrongState,
                    message: "the acquisition was ended before its first frame, by another client perhaps")
            }
            guard ContinuousClock.now < deadline else {
                throw RequestFailure(
                    code: .timedOut,
                    message: counters.state == .running
                        ? "the acquisition still runs: \(counters.positionsPlaced) of \(counters.positionsExpected) frames"
                        : "the acquisition has not begun: no frame has come; is a trigger missing?")
            }
        }
    }

    /// Waits until the results of an acquisition are final, as far as there is time.
    func drained(_ generation: UInt64, _ deadline: ContinuousClock.Instant) async {
        _ = await wait(until: deadline) { [table] in
            table.acquisitions.last { $0.description.generation == generation }?.isDrained ?? true
        }
    }

    // MARK: scan

    func scan(_ wanted: WireScanRequest, id: String, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        var report = WireScanReport()
        do throws(RequestFailure) {
            guard status.isDataConnected else {
                throw RequestFailure(
                    code: .detectorUnreachable, message: "no data connection to the detector: \(status.lossReason)")
            }
            guard status.state == "idle" else {
                throw RequestFailure(
                    code: .wrongState, message: "the detector is \(status.state); stop or abort the acquisition first")
            }
            guard !wanted.arm.endless else {
                throw RequestFailure(
                    code: .invalidArgument, message: "a scan ends; for an endless acquisition use arm, and stop")
            }
            try await set(wanted.settings, &report, deadline)
            try startRun(wanted, &report)
        } catch {
            return error.answer
        }
        do throws(RequestFailure) {
            for number in 1...max(1, wanted.repeats) {
                let summary = try await one(wanted.arm, number, of: max(1, wanted.repeats), id, deadline)
                report.acquisitions.append(status.acquisition(summary))
                if report.acquisitions.count > Self.reportedAcquisitions { report.acquisitions.removeFirst() }
                report.done = number
                guard summary.reason == .complete || summary.reason == .idle else { break }
            }
        } catch {
            if !report.run.isEmpty { _ = table.stop(name: report.run) }
            var answer = error.answer
            if report.done > 0 { answer.reply.failure.message += "; \(report.done) acquisitions were done before" }
            return answer
        }
        if !report.run.isEmpty, report.done < wanted.repeats { _ = table.stop(name: report.run) }
        var reply = WireReply()
        reply.scan = report
        return ControlAnswer(reply: reply)
    }

    private func set(
        _ settings: [WireDetectorSet], _ report: inout WireScanReport, _ deadline: ContinuousClock.Instant
    ) async throws(RequestFailure) {
        guard !settings.isEmpty else { return }
        report.differing = try await configured(settings, deadline).filter(\.differs)
        if let refused = report.differing.first(where: { $0.detectorCode != 0 }) {
            throw RequestFailure(
                code: .detectorRefused, message: "\(refused.name) = \(refused.asked) was refused: \(refused.message)",
                detectorCode: refused.detectorCode)
        }
    }

    private func startRun(_ wanted: WireScanRequest, _ report: inout WireScanReport) throws(RequestFailure) {
        guard !wanted.udfs.isEmpty else { return }
        var run = WireStartRunRequest()
        (run.run, run.udfs, run.acquisitions) = (wanted.run, wanted.udfs, max(1, wanted.repeats))
        let answer = start(run)
        if case .failure(let failure)? = answer.reply.kind {
            throw RequestFailure(
                code: FailureCode(rawValue: failure.code) ?? .internal, message: failure.message)
        }
        report.run = answer.reply.runStarted.run
    }

    /// One acquisition from arming to its last result. What cannot be finished in time is aborted.
    private func one(
        _ arm: WireArmRequest, _ number: UInt32, of count: UInt32, _ id: String, _ deadline: ContinuousClock.Instant
    ) async throws(RequestFailure) -> AcquisitionSummary {
        let generation: UInt64
        do throws(RequestFailure) {
            generation = try await armed(arm, deadline, mustEnd: true)
        } catch {
            // Who goes on after the acquisition before has to be stopped; what is not this request's is left alone.
            guard number > 1 else { throw error }
            _ = await end(.abort, max(deadline, .now + Self.reserve))
            throw RequestFailure(
                code: error.code,
                message:
                    "acquisition \(number) of \(count) could not be armed: \(error.message). The detector was aborted",
                detectorCode: error.detectorCode)
        }
        tell("scan.armed", id, "acquisition \(number) of \(count) is armed")
        do throws(RequestFailure) {
            if try await waitsForSoftTrigger(arm, deadline) {
                try await triggered(deadline)
                tell("scan.triggered", id, "acquisition \(number) of \(count) is triggered")
            }
            let summary = try await ended(generation, deadline - Self.reserve) { [self] placed, expected in
                tell("scan.progress", id, "\(placed) of \(expected) frames", placed: placed, expected: expected)
            }
            await drained(summary.generation, deadline - Self.reserve / 2)
            tell(
                "scan.ended", id, "acquisition \(number) of \(count): \(summary.reason.rawValue)",
                placed: summary.accounting.placed, expected: summary.accounting.expected)
            return summary
        } catch {
            let aborted = await end(.abort, max(deadline, .now + Self.reserve))
            let placed = aborted.reply.done.framesPlaced
            throw RequestFailure(
                code: error.code, message: "\(error.message). The acquisition was aborted, with \(placed) frames",
                detectorCode: error.detectorCode)
        }
    }

    private func waitsForSoftTrigger(
        _ arm: WireArmRequest, _ deadline: ContinuousClock.Instant
    ) async throws(RequestFailure) -> Bool {
        guard arm.trigger.isEmpty else { return arm.trigger == DetectorTrigger.soft.rawValue }
        return try await detector.perform(by: deadline, isReading: true) { control, timeLeft in
            try control.integer("TRIGGERSTART", timeout: timeLeft()) == DetectorTrigger.soft.triggerStart
        }
    }

    private func tell(_ code: String, _ id: String, _ text: String, placed: Int = 0, expected: Int = 0) {
        var event = WireEvent()
        (event.severity, event.code, event.text, event.request) = ("info", code, text, id)
        (event.framesPlaced, event.framesExpected) = (UInt64(placed), UInt64(expected))
        parts.announce(event)
    }
}
