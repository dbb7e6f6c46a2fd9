import MerlinProtocol
import StemwireAcquisition
import StemwireProtocol
import StemwireSystem

/// Arming, triggering and ending acquisitions.
extension ControlOperations {
    /// How an acquisition is ended by request.
    enum Ending {
        /// Frames on their way still count.
        case stop
        case abort
    }

    /// How long after STARTACQUISITION's answer the acquisition header may take.
    private static let headerPatience = Duration.milliseconds(300)
    /// How long an aborted acquisition takes to be over; it waits for nothing but the receiver's turn.
    private static let abortPatience = Duration.milliseconds(500)

    // MARK: Arming

    func arm(_ arm: WireArmRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            _ = try await armed(arm, deadline)
            var reply = WireReply()
            reply.done = doneNow()
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    /// Arms the detector.
    ///
    /// - Parameter mustEnd: whether an endless acquisition is refused, also one that the detector is set to.
    /// - Returns: the generation that the acquisition has, or, where its header has not come yet, will have at least.
    func armed(
        _ arm: WireArmRequest, _ deadline: ContinuousClock.Instant, mustEnd: Bool = false
    ) async throws(RequestFailure) -> UInt64 {
        let before = status.state
        guard before != "acquiring" else {
            throw RequestFailure(code: .wrongState, message: "an acquisition is running; stop or abort it first")
        }
        let wantedShape = arm.navShape.map { Int($0) }
        let frames: Int? = arm.endless ? 0 : arm.frames == 0 ? nil : Int(clamping: arm.frames)
        try checkShape(wantedShape, frames: frames, arm)
        guard !arm.endless || arm.frames == 0 else {
            throw RequestFailure(code: .invalidArgument, message: "either a number of frames or endless, not both")
        }
        try checkPartitions(arm, frames: frames)
        let trigger = DetectorTrigger(rawValue: arm.trigger)
        guard trigger != nil || arm.trigger.isEmpty else {
            throw RequestFailure(
                code: .invalidArgument,
                message: "the trigger \"\(arm.trigger)\" is not known; soft, internal or nothing")
        }
        let (receiver, scan, status) = (receiver, parts.scan, status)
        guard arm.window == 0 || WireLimits.window.contains(Int(arm.window)) else {
            throw RequestFailure(
                code: .invalidArgument,
                message: "a window of \(arm.window) acquisitions; 1 to \(WireLimits.window.upperBound) are possible")
        }
        let wanted = RequestedScan(arm)
        let generation = receiver.counters.generation
        let attempt: @Sendable () async throws(RequestFailure) -> Void = {
            [detector, armingWatch, framesBeforeEndless] () throws(RequestFailure) in
            let isBusy = try await detector.perform(by: deadline) { control, timeLeft in
                let frames = try Self.frames(
                    frames, at: control, mustEnd: mustEnd, before: framesBeforeEndless, timeLeft: timeLeft)
                try control.arm(
                    frames: frames, trigger: trigger,
                    beforeStart: {
                        scan.request(wanted)
                        receiver.willArm()
                        status.armed()
                    }, timeLeft: timeLeft)
                let told = try? control.integer("DETECTORSTATUS", timeout: timeLeft())
                return DetectorFacts.isBusy(told)
            }
            armingWatch.withLock { $0.armed(isBusy: isBusy) }
        }
        do throws(RequestFailure) {
            try await attempt()
        } catch {
            let failure = withdrawn(error, before)
            guard failure.detectorCode == Int32(ControlCode.busyOrUnknown.rawValue), before == "idle",
                await isStuck(deadline)
            else { throw failure }
            try await reset(deadline, because: "it was busy with an acquisition of which nothing came")
            do throws(RequestFailure) { try await attempt() } catch { throw withdrawn(error, before) }
        }
        table.keep(arm.window == 0 ? nil : Int(arm.window))
        status.begins(series: generation + 1, isEndless: arm.endless)
        return await awaitHeader(after: generation, deadline)
    }

    /// NUMFRAMESTOACQUIRE for an arming: what an endless arming left behind is no wish of anybody's.
    ///
    /// - Parameters:
    ///   - wanted: 0 for an endless acquisition; nil for what the detector is set to.
    ///   - before: what it was before an endless arming.
    /// - Returns: nil to leave it.
    private static func frames<Failure: Error>(
        _ wanted: Int?, at control: MerlinControl, mustEnd: Bool, before: Locked<Int?>,
        timeLeft: () throws(Failure) -> Duration
    ) throws -> Int? {
        if let wanted, wanted > 0 {
            before.value = nil
            return wanted
        }
        let present = try control.integer("NUMFRAMESTOACQUIRE", timeout: timeLeft())
        if wanted == 0 {
            if present > 0 { before.value = present }
            return 0
        }
        guard present == 0 else {
            before.value = nil
            return nil
        }
        if let number = before.value {
            before.value = nil
            return number
        }
        guard !mustEnd else {
            throw RequestFailure(
                code: .invalidArgument,
                message:
                    "the detector is set to go on without end (NUMFRAMESTOACQUIRE 0): say how many frames the scan has")
        }
        return nil
    }

    private func checkShape(_ shape: [Int], frames: Int?, _ arm: WireArmRequest) throws(RequestFailure) {
        guard !shape.isEmpty else { return }
        do throws(NavShapeError) {
            _ = try NavShapeResolver(shape: shape, margins: margins(arm)).resolve(frameCount: frames)
        } catch {
            throw RequestFailure(code: .invalidArgument, message: error.description)
        }
    }

    /// Frames that are no scan positions, as arming asks for, else as the server was told.
    func margins(_ arm: WireArmRequest) -> ScanMargins {
        arm.hasMargins ? ScanMargins(arm.margins) : configuration.margins
    }

    /// Takes back what was announced for an arming that failed.
    private func withdrawn(_ failure: RequestFailure, _ before: String) -> RequestFailure {
        // Where only the answer did not come, the detector may be armed all the same.
        if failure.code == .detectorRefused { parts.scan.withdraw() }
        if failure.code == .timedOut || failure.code == .detectorUnreachable {
            armingWatch.withLock { $0.armingUnanswered() }
        }
        // Who is armed already refuses to be armed again, and stays armed.
        if before != "armed" { status.disarmed() }
        return failure
    }

    /// Whether a detector that says it is busy does nothing that this server would see: nothing arrives, and nothing begins.
    private func isStuck(_ deadline: ContinuousClock.Instant) async -> Bool {
        guard status.isDataConnected else { return false }
        let frames = receiver.counters.frames
        let limit = min(deadline, .now + Self.headerPatience)
        return await !wait(until: limit) { [receiver, status] in
            status.state != "idle" || receiver.counters.frames != frames
        }
    }

    /// What an interrupted acquisition leaves behind may have to be aborted before the detector can be armed again.
    private func reset(_ deadline: ContinuousClock.Instant, because reason: String) async throws(RequestFailure) {
        try await detector.perform(by: deadline) { control, timeLeft in
            try control.command("ABORT", timeout: timeLeft())
        }
        receiver.didAbort()
        announce("detector.reset", "the detector was aborted: \(reason)")
    }

    /// A detector sends the acquisition header when it is armed. Waiting for it makes sure that what comes next, an
    /// abort perhaps, is about this acquisition.
    private func awaitHeader(after generation: UInt64, _ deadline: ContinuousClock.Instant) async -> UInt64 {
        guard status.isDataConnected, headersComeAtOnce.load(ordering: .relaxed) else { return generation + 1 }
        let hasCome = await wait(until: min(deadline, .now + Self.headerPatience)) { [receiver] in
            receiver.counters.generation != generation
        }
        guard hasCome else {
            headersComeAtOnce.store(false, ordering: .relaxed)
            return generation + 1
        }
        return receiver.counters.generation
    }

    // MARK: Triggering and ending

    func trigger(_ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            try await triggered(deadline)
            var reply = WireReply()
            reply.done = doneNow()
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    func triggered(_ deadline: ContinuousClock.Instant) async throws(RequestFailure) {
        try await detector.perform(by: deadline) { control, timeLeft in
            try control.command("SOFTTRIGGER", timeout: timeLeft())
        }
    }

    /// Sends STOPACQUISITION or ABORT, and tells how many frames the acquisition has, once it is over.
    func end(_ ending: Ending, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        let generation = receiver.counters.state == .idle ? nil : receiver.counters.generation
        do throws(RequestFailure) {
            try await detector.perform(by: deadline) { [framesBeforeEndless] control, timeLeft in
                try control.command(ending == .stop ? "STOPACQUISITION" : "ABORT", timeout: timeLeft())
                // Where the detector does not take it yet, the next arming does it.
                guard let number = framesBeforeEndless.value,
                    (try? control.set("NUMFRAMESTOACQUIRE", to: number, timeout: timeLeft())) != nil
                else { return }
                framesBeforeEndless.value = nil
            }
        } catch {
            return error.answer
        }
        didEnd(ending)
        var reply = WireReply()
        reply.done = await ended(generation, ending, deadline)
        return ControlAnswer(reply: reply)
    }

    func didEnd(_ ending: Ending) {
        switch ending {
        case .stop: receiver.didStop()
        case .abort: receiver.didAbort()
        }
        status.disarmed()
        armingWatch.withLock { $0.ended() }
    }

    // MARK: Arming that ends without a request

    /// Heeds what the detector says of itself, as often as it is asked.
    func looked(_ facts: DetectorFacts?) async {
        guard let facts else { return armingWatch.withLock { $0.lost() } }
        let verdict = armingWatch.withLock {
            $0.look(
                isBusy: facts.isBusy, isArmed: status.state == "armed", frames: Int(receiver.counters.frames))
        }
        switch verdict {
        case .nothing: return
        case .isOver:
            didEnd(.abort)
            announce(
                "detector.disarmed",
                "the detector waits no more, and no frame came: its acquisition was ended by other means than this server"
            )
        case .abort:
            do throws(RequestFailure) {
                try await reset(
                    .now + DetectorWatch.patience, because: "an arming that it had not answered was still in effect")
                status.disarmed()
            } catch {
                armingWatch.withLock { $0.armingUnanswered() }
            }
        }
    }

    private func announce(_ code: String, _ text: String) {
        var event = WireEvent()
        (event.severity, event.code, event.text) = ("warning", code, text)
        parts.announce(event)
    }

    private func ended(
        _ generation: UInt64?, _ ending: Ending, _ deadline: ContinuousClock.Instant
    ) async -> WireDone {
        guard let generation else { return doneNow() }
        let patience = ending == .stop ? configuration.idleLimit + .seconds(1) : Self.abortPatience
        _ = await wait(until: min(deadline, .now + patience)) { [table, receiver] in
            receiver.counters.state == .idle && table.summaries.contains { $0.generation >= generation }
        }
        var done = doneNow()
        if let summary = table.summaries.last(where: { $0.generation == generation }) {
            done.generation = generation
            done.framesPlaced = UInt64(summary.accounting.placed)
            done.framesExpected = UInt64(summary.accounting.expected)
            done.endReason = summary.reason.rawValue
        }
        return done
    }

    func doneNow() -> WireDone {
        var done = WireDone()
        done.framesPlaced = UInt64(receiver.counters.positionsPlaced)
        done.framesExpected = UInt64(receiver.counters.positionsExpected)
        done.generation = receiver.counters.generation
        return done
    }

    // MARK: Waiting

    /// Looks until `isSo`: every few milliseconds at first, then less often, so that many who wait for long cost little.
    ///
    /// - Parameter began: since when it is waited for; nil: from now on.
    /// - Returns: false when `limit` has passed.
    func wait(
        until limit: ContinuousClock.Instant, since began: ContinuousClock.Instant? = nil, _ isSo: @Sendable () -> Bool
    ) async -> Bool {
        let began = began ?? .now
        while !isSo() {
            let now = ContinuousClock.now
            guard now < limit, !Task.isCancelled else { return isSo() }
            let pause = min(.milliseconds(50), max(.milliseconds(2), (now - began) / 20))
            try? await Task.sleep(until: min(limit, now + pause), clock: .continuous)
        }
        return true
    }
}
