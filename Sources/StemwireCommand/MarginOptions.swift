import ArgumentParser
import StemwireAcquisition

/// Frames of a scan that are no positions of it.
struct MarginOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Frames that come before the first scan position, and are left out.", valueName: "N"))
    var leadIn: Int?
    @Option(
        help: ArgumentHelp(
            "Frames after each scan line, while the probe flies back, that are left out.", valueName: "N"))
    var flyback: Int?
    @Option(help: ArgumentHelp("Frames that come after the last line, and are left out.", valueName: "N"))
    var tail: Int?

    func validate() throws {
        for (name, count) in [("lead-in", leadIn), ("flyback", flyback), ("tail", tail)] {
            guard let count, !(0...1 << 24).contains(count) else { continue }
            throw ValidationError("--\(name) \(count): 0 to \(1 << 24) frames are possible")
        }
    }

    /// Nil where none is given.
    var margins: ScanMargins? {
        guard leadIn != nil || flyback != nil || tail != nil else { return nil }
        return ScanMargins(leadIn: leadIn ?? 0, flybackPerLine: flyback ?? 0, tail: tail ?? 0)
    }
}
