import ArgumentParser
import StemwireUDF

/// The files that say what is done to every frame before any UDF sees it: (x − dark) · gain, then excluded pixels.
struct CorrectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Dark frame that is subtracted from every frame: .npy, shape (y, x).", valueName: "FILE"))
    var dark: String?
    @Option(help: ArgumentHelp("Gain map that every frame is multiplied with: .npy, shape (y, x).", valueName: "FILE"))
    var gain: String?
    @Option(
        help: ArgumentHelp(
            "Pixels that become the mean of their neighbours: .npy, a mask (y, x), or a list of places (pixels, 2).",
            valueName: "FILE"))
    var excluded: String?

    /// - Returns: nil where no file is named.
    func read() throws -> Corrections? {
        do throws(CorrectionsError) {
            let corrections = try Corrections(darkFile: dark, gainFile: gain, excludedFile: excluded)
            return corrections.isEmpty ? nil : corrections
        } catch {
            throw CommandFailure.usage("corrections: \(error)")
        }
    }
}
