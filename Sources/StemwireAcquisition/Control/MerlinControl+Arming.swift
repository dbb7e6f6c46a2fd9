/// What starts an acquisition's frames.
public enum DetectorTrigger: String, Sendable, Hashable, CaseIterable {
    /// SOFTTRIGGER on the control socket.
    case soft
    /// The detector itself, as soon as it is armed.
    case `internal`

    /// The value of TRIGGERSTART.
    public var triggerStart: Int {
        switch self {
        case .soft: 5
        case .internal: 0
        }
    }
}

extension MerlinControl {
    /// Sets up an acquisition and sends STARTACQUISITION.
    ///
    /// - Parameters:
    ///   - frames: NUMFRAMESTOACQUIRE, and with a soft trigger NUMFRAMESPERTRIGGER too: one trigger, the whole scan. Nil
    ///     leaves both, 0 (endless) the latter.
    ///   - trigger: sets TRIGGERSTART; nil leaves it.
    ///   - beforeStart: called between the settings and STARTACQUISITION.
    ///   - timeLeft: asked before each request how long it may take.
    public func arm<Failure: Error>(
        frames: Int?, trigger: DetectorTrigger?, beforeStart: () -> Void, timeLeft: () throws(Failure) -> Duration
    ) throws {
        if let frames {
            try set("NUMFRAMESTOACQUIRE", to: frames, timeout: timeLeft())
            if trigger == .soft, frames > 0 { try set("NUMFRAMESPERTRIGGER", to: frames, timeout: timeLeft()) }
        }
        if let trigger { try set("TRIGGERSTART", to: trigger.triggerStart, timeout: timeLeft()) }
        beforeStart()
        try command("STARTACQUISITION", timeout: timeLeft())
    }
}
