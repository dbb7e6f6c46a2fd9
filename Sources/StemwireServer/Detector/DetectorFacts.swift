import MerlinProtocol
import StemwireAcquisition

/// What a detector says of itself: of one moment, and of one control connection.
struct DetectorFacts: Sendable, Equatable {
    var softwareVersion = ""
    /// The image as it would be sent, (y, x); nil when the detector does not tell.
    var height: Int?
    var width: Int?
    var counterDepth: Int?
    var isBusy = false

    /// Pixels of processed frames, by numpy's name; nil when not known.
    var dtype: String? {
        switch counterDepth {
        case 1, 6: "uint8"
        case 12: "uint16"
        case 24: "uint32"
        default: nil
        }
    }

    /// Time that a Medipix3 needs to read a counter out before it can be exposed again, in seconds: 0.82 ms for 12 bits, and in
    /// proportion for other depths. In continuous read-write mode, which 24 bits do not have, there is none.
    static func deadTime(depth: Int) -> Double { 0.82e-3 / 12 * Double(depth) }
    static let depths = [1, 6, 12, 24]

    /// Whether this DETECTORSTATUS means that the detector acquires, or waits for a trigger.
    static func isBusy(_ status: Int?) -> Bool {
        status.map { [.busy, .armed].contains(DetectorStatus(rawValue: $0)) } ?? false
    }

    /// Asks for all of it.
    ///
    /// - Parameter timeLeft: asked before each request.
    static func read<Failure: Error>(
        _ control: MerlinControl, timeLeft: () throws(Failure) -> Duration
    ) throws -> DetectorFacts {
        var facts = DetectorFacts()
        func ask(_ name: String) throws -> String? {
            let reply = try control.send(.get(name), timeout: try timeLeft())
            return reply.code.isOK ? reply.value : nil
        }
        func number(_ name: String) throws -> Int? {
            try ask(name).flatMap { Double($0.filter { $0 != " " }) }.flatMap { Int(exactly: $0) }
        }
        facts.softwareVersion = try ask("SOFTWAREVERSION") ?? ""
        facts.width = try number("IMAGEX")
        facts.height = try number("IMAGEY")
        facts.counterDepth = try number("COUNTERDEPTH")
        facts.isBusy = Self.isBusy(try number("DETECTORSTATUS"))
        return facts
    }
}
