import MerlinProtocol

/// The detector as its control socket shows it: parameters, arming, triggers. No socket, thread or clock.
///
/// Two sides drive it. Control clients send requests to ``answer(_:)``, and triggers come in by ``trigger()``. Whoever
/// feeds the data socket asks ``nextStep(streaming:limit:)`` what to send next.
///
/// - STARTACQUISITION takes the settings as they are; the acquisition header follows at once. With TRIGGERSTART 0 the
///   frames follow, else each trigger releases NUMFRAMESPERTRIGGER of them (triggers add up). SOFTTRIGGER works with
///   TRIGGERSTART 5 alone, the trigger socket with 1 to 5. A trigger that nobody waits for does nothing.
/// - While an acquisition is armed or runs, SET and STARTACQUISITION are answered with 1 (busy).
/// - STOPACQUISITION ends it after the frames being sent, ABORT too (nothing on the data socket tells). Another
///   STARTACQUISITION may follow at once.
/// - Unknown names and SETs of read-only parameters are answered with 2, bad values with 3. Threshold scans,
///   self-test and equalisation are not simulated and answered with 2.
/// - ACQUISITIONTIME and ACQUISITIONPERIOD are what the headers tell; they do not slow the simulator down.
///
/// A detector that runs freely begins acquisition after acquisition while a data client is connected, and lets settings
/// be changed in between. STARTACQUISITION takes it over: when the present acquisition has ended (an endless one is
/// ended), the armed one follows, and until the data client leaves the detector only does what it is told. STOP and
/// ABORT take it over, too.
public struct DetectorState: Sendable {
    /// How an acquisition ended.
    public enum End: Sendable, Hashable {
        case complete, stopped, aborted
    }

    /// What is to be done on the data socket.
    public enum StreamStep: Sendable, Hashable {
        /// Nothing until something changes.
        case wait
        /// Send the acquisition header.
        case begin(AcquisitionPlan)
        /// Send these frames, counted from 0.
        case frames(Range<Int>)
        /// The acquisition is over.
        case end(End)
    }

    /// A trigger that was accepted, to ask when its frames are sent.
    public struct TriggerTicket: Sendable, Hashable {
        let acquisition: UInt64
        let target: Int
    }

    private struct Acquisition {
        var plan: AcquisitionPlan
        /// Frames that may be sent.
        var released: Int
        var handedOut = 0
        var sent = 0
        var hasBegun = false
    }

    public let setup: DetectorSetup
    private var parameters: DetectorParameters
    /// Begun by STARTACQUISITION.
    private var armed: Acquisition?
    /// Begun by the detector itself.
    private var free: Acquisition?
    /// Whose last frames are on their way: over for control clients, not yet for the data side.
    private var leaving: Acquisition?
    private var mayRunFreely = false
    private var nextID: UInt64 = 0
    private var lastEnd = End.complete

    public init(_ setup: DetectorSetup) {
        self.setup = setup
        parameters = DetectorParameters(setup)
    }

    /// Whether an acquisition is armed or runs.
    public var isBusy: Bool { armed != nil || free != nil }

    /// The armed acquisition that now waits for a trigger; nil if none does.
    public var waitingForTrigger: AcquisitionPlan? {
        guard let armed, armed.plan.isTriggered, armed.released == armed.handedOut else { return nil }
        return armed.plan
    }

    /// The acquisition that STARTACQUISITION would begin now.
    public var presentPlan: AcquisitionPlan { plan(isFreeRun: false) }

    // MARK: - Control side

    /// Answers a request and does what it says.
    public mutating func answer(_ request: ControlRequest) -> ControlReply {
        switch request.kind {
        case .get:
            guard let value = value(of: request.key) else {
                return ControlReply(to: request, value: "", code: .unrecognisedCommand)
            }
            return ControlReply(to: request, value: value)
        case .set:
            guard armed == nil else { return ControlReply(to: request, code: .busyOrUnknown) }
            return ControlReply(to: request, code: parameters.set(request.key, request.value ?? ""))
        case .cmd:
            return ControlReply(to: request, code: perform(request.key))
        }
    }

    private func value(of name: String) -> String? {
        switch name {
        case "DETECTORSTATUS":
            return String((isBusy ? DetectorStatus.busy : .idle).rawValue)
        case "IMAGEX": return String(setup.shape(rows: parameters.integer("ROIROWS")).width)
        case "IMAGEY": return String(setup.shape(rows: parameters.integer("ROIROWS")).height)
        default: return parameters.parameters[name]?.value
        }
    }

    private mutating func perform(_ command: String) -> ControlCode {
        switch command {
        case "STARTACQUISITION":
            guard armed == nil else { return .busyOrUnknown }
            let plan = makePlan(isFreeRun: false)
            armed = Acquisition(plan: plan, released: plan.isTriggered ? 0 : .max)
            mayRunFreely = false
        case "STOPACQUISITION": finish(.stopped)
        case "ABORT": finish(.aborted)
        case "RESET":
            finish(.aborted)
            parameters.reset()
        case "SOFTTRIGGER", "SWTRIGGER":
            if armed?.plan.triggerStart == 5 { _ = trigger() }
        default: return .unrecognisedCommand
        }
        return .ok
    }

    private mutating func finish(_ end: End) {
        armed = nil
        free = nil
        mayRunFreely = false
        lastEnd = end
    }

    /// A hardware trigger (the trigger socket).
    ///
    /// - Returns: nil when no acquisition waits for triggers.
    public mutating func trigger() -> TriggerTicket? {
        guard var acquisition = armed, acquisition.plan.isTriggered else { return nil }
        let limit = acquisition.plan.frameCount ?? .max
        let (sum, overflow) = acquisition.released.addingReportingOverflow(acquisition.plan.framesPerTrigger)
        acquisition.released = overflow ? limit : min(limit, sum)
        armed = acquisition
        return TriggerTicket(acquisition: acquisition.plan.id, target: acquisition.released)
    }

    /// Whether all frames of a trigger are sent, or its acquisition is over.
    public func isDone(_ ticket: TriggerTicket) -> Bool {
        for acquisition in [armed, leaving] {
            if let acquisition, acquisition.plan.id == ticket.acquisition { return acquisition.sent >= ticket.target }
        }
        return true
    }

    private mutating func makePlan(isFreeRun: Bool) -> AcquisitionPlan {
        defer { nextID += 1 }
        return plan(isFreeRun: isFreeRun)
    }

    private func plan(isFreeRun: Bool) -> AcquisitionPlan {
        let frames = parameters.integer("NUMFRAMESTOACQUIRE")
        var navShape = setup.navShape
        if parameters.isChanged("STEMSCANX") || parameters.isChanged("STEMSCANY") {
            navShape = [parameters.integer("STEMSCANY"), parameters.integer("STEMSCANX")]
        }
        return AcquisitionPlan(
            id: nextID, frameCount: frames == 0 ? nil : frames,
            framesPerTrigger: parameters.integer("NUMFRAMESPERTRIGGER"),
            triggerStart: isFreeRun ? 0 : parameters.integer("TRIGGERSTART"),
            triggerStop: parameters.integer("TRIGGERSTOP"),
            counterDepth: CounterDepth(rawValue: parameters.integer("COUNTERDEPTH")) ?? setup.counterDepth,
            isRaw: parameters.integer("FILEFORMAT") == 2, rows: parameters.integer("ROIROWS"), navShape: navShape,
            shutterNanoseconds: Int(parameters.real("ACQUISITIONTIME") * 1e6),
            periodNanoseconds: Int(parameters.real("ACQUISITIONPERIOD") * 1e6),
            thresholds: (0...7).map { parameters.real("THRESHOLD\($0)") }, gain: parameters.integer("GAIN"),
            counter: parameters.integer("ENABLECOUNTER1"), bias: parameters.integer("HVBIAS"),
            continuousReadWrite: parameters.integer("CONTINUOUSRW") == 1,
            setsFramesPerTrigger: parameters.isChanged("NUMFRAMESPERTRIGGER"), isFreeRun: isFreeRun)
    }

    // MARK: - Data side

    /// A client has connected to the data port: the detector may run freely if it is one that does.
    public mutating func dataClientConnected() {
        mayRunFreely = setup.runsFreely && armed == nil
    }

    /// The data client is gone: what it was being sent is over, so that the next one does not get the rest of it.
    public mutating func dataClientLeft() {
        free = nil
        leaving = nil
        mayRunFreely = false
        if armed?.hasBegun == true {
            armed = nil
            lastEnd = .aborted
        }
    }

    /// What to do next on the data socket. Asking again says that the step before is done.
    ///
    /// - Parameters:
    ///   - acquisition: the id of the acquisition being sent; nil when there is none.
    ///   - limit: so many frames at most, positive.
    public mutating func nextStep(streaming acquisition: UInt64?, limit: Int) -> StreamStep {
        guard let acquisition else { return begin() }
        if let present = armed, present.plan.id == acquisition {
            let (step, rest) = Self.advance(present, limit: limit)
            armed = rest
            return step
        }
        if let present = free, present.plan.id == acquisition {
            if armed != nil, present.plan.frameCount == nil {
                free = nil
                return .end(.stopped)
            }
            let (step, rest) = Self.advance(present, limit: limit)
            free = rest
            return step
        }
        defer { leaving = nil }
        return .end(leaving?.plan.id == acquisition ? .complete : lastEnd)
    }

    /// The last frames that were handed out are being sent now. If they are the acquisition's last, it is over for
    /// control clients: whoever has received them may arm the next one at once.
    public mutating func framesLeave(_ acquisition: UInt64) {
        func isLast(_ present: Acquisition?) -> Bool {
            guard let present, present.plan.id == acquisition else { return false }
            return present.handedOut == present.plan.frameCount
        }
        if isLast(armed) {
            (leaving, armed) = (armed, nil)
        } else if isLast(free) {
            (leaving, free) = (free, nil)
        }
    }

    /// Ends the acquisition being sent, as a fault does.
    public mutating func abortStream(_ acquisition: UInt64) {
        if armed?.plan.id == acquisition { armed = nil }
        if free?.plan.id == acquisition { free = nil }
        lastEnd = .aborted
    }

    private mutating func begin() -> StreamStep {
        if armed == nil, mayRunFreely {
            let plan = makePlan(isFreeRun: true)
            free = Acquisition(plan: plan, released: .max, hasBegun: true)
            return .begin(plan)
        }
        guard let plan = armed?.plan, armed?.hasBegun == false else { return .wait }
        armed?.hasBegun = true
        return .begin(plan)
    }

    private static func advance(_ acquisition: Acquisition, limit: Int) -> (StreamStep, Acquisition?) {
        var acquisition = acquisition
        acquisition.sent = acquisition.handedOut
        let total = acquisition.plan.frameCount ?? .max
        guard acquisition.handedOut < total else { return (.end(.complete), nil) }
        let end = min(total, acquisition.released, acquisition.handedOut + limit)
        guard end > acquisition.handedOut else { return (.wait, acquisition) }
        let frames = acquisition.handedOut..<end
        acquisition.handedOut = end
        return (.frames(frames), acquisition)
    }
}
