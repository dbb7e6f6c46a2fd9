/// The error code at the end of every control reply.
public struct ControlCode: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    public let rawValue: Int

    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    public static let ok = ControlCode(rawValue: 0)
    /// A8: the manual says busy, the EPICS specification unknown error. Both are told.
    public static let busyOrUnknown = ControlCode(rawValue: 1)
    public static let unrecognisedCommand = ControlCode(rawValue: 2)
    public static let outOfRange = ControlCode(rawValue: 3)

    public var isOK: Bool { self == .ok }

    public var description: String {
        switch self {
        case .ok: "0: OK"
        case .busyOrUnknown: "1: the detector is busy (manual) or reports an unknown error (EPICS specification)"
        case .unrecognisedCommand: "2: the detector does not know this command or parameter"
        case .outOfRange: "3: parameter out of range"
        default: "\(rawValue): an error code that is not documented"
        }
    }
}

/// What the detector answers to `GET,DETECTORSTATUS`.
///
/// A13: values above 2 are known from one other program alone; every number is passed through.
public struct DetectorStatus: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    public let rawValue: Int

    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    public static let idle = DetectorStatus(rawValue: 0)
    public static let busy = DetectorStatus(rawValue: 1)
    public static let standby = DetectorStatus(rawValue: 2)
    public static let error = DetectorStatus(rawValue: 3)
    public static let armed = DetectorStatus(rawValue: 4)
    public static let initialising = DetectorStatus(rawValue: 5)

    public var description: String {
        switch self {
        case .idle: "idle"
        case .busy: "busy"
        case .standby: "standby"
        case .error: "error"
        case .armed: "armed"
        case .initialising: "initialising"
        default: "status \(rawValue)"
        }
    }
}
