import Foundation
import MerlinProtocol
import StemwireKernels
import Testing

@testable import StemwireUDF

@Suite("Corrections: files, travelling, and what does not fit")
struct CorrectionChecksTests {
    private let frames = SigShape(height: 6, width: 9)
    private func image(_ dtype: DType = .float32, _ shape: [Int] = [6, 9]) -> ResultArray {
        ResultArray(zeros: dtype, shape: shape)
    }

    private func fault(_ corrections: Corrections) -> CorrectionsError? {
        do throws(CorrectionsError) {
            try corrections.check(frames)
            return nil
        } catch {
            return error
        }
    }

    @Test func whatDoesNotFitIsNamed() throws {
        let other = SigShape(height: 6, width: 8)
        #expect(fault(Corrections(dark: image(), gain: image(.uint16))) == nil)
        #expect(
            fault(Corrections(dark: image(.float32, [6, 8]))) == .size("the dark frame", found: other, frames: frames))
        #expect(
            fault(Corrections(gain: image(.float64, [6, 8]))) == .size("the gain map", found: other, frames: frames))
        #expect(fault(Corrections(dark: image(.float32, [1, 6, 9]))) == .noImage("the dark frame", shape: [1, 6, 9]))
        #expect(fault(Corrections(gain: image(.complex64))) == .notReal("the gain map", .complex64))
        #expect(fault(Corrections(gain: image(.bool))) == .notReal("the gain map", .bool))
        for bad in [(y: -1, x: 0), (y: 6, x: 0), (y: 0, x: 9), (y: 0, x: -1)] {
            #expect(
                fault(Corrections(excluded: ExcludedPixels([bad])))
                    == .outside(DetectorPixel(y: bad.y, x: bad.x), frames: frames))
        }
        let mask = try ExcludedPixels(mask: image(.bool, [6, 8]))
        #expect(
            fault(Corrections(excluded: mask)) == .size("the mask of excluded pixels", found: other, frames: frames))
        #expect(throws: CorrectionsError.noImage("the mask of excluded pixels", shape: [54])) {
            try ExcludedPixels(mask: image(.bool, [54]))
        }
        #expect(throws: CorrectionsError.notReal("the mask of excluded pixels", .complex128)) {
            try ExcludedPixels(mask: image(.complex128))
        }
        let all = ExcludedPixels((0..<54).map { (y: $0 / 9, x: $0 % 9) })
        guard case .isolated(let pixels)? = fault(Corrections(excluded: all)) else {
            Issue.record("nothing is left to take a mean of")
            return
        }
        #expect(pixels.count == 54)
    }

    @Test func numbersAreNeededWherePixelsCount() throws {
        var gain = [Double](repeating: 1, count: 54)
        gain[21] = .infinity
        let map = ResultArray(gain, shape: [6, 9])
        #expect(
            fault(Corrections(gain: map)) == .notFinite("the gain map", at: DetectorPixel(y: 2, x: 3), value: .infinity)
        )
        #expect(fault(Corrections(gain: map, excluded: ExcludedPixels([(y: 2, x: 3)]))) == nil)
    }

    @Test func planningRefusesWhatDoesNotFit() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        do throws(UDFError) {
            _ = try RunPlan(
                [UDFRequest(name: "sum")], meta: meta,
                corrections: Corrections(dark: image(.float32, [9, 6])))
            Issue.record("it was planned")
        } catch {
            #expect(error.code == .badRequest && error.cause is CorrectionsError)
            #expect(error.description.contains("the dark frame has 9 × 6 pixels, the frames have 6 × 9"))
        }
        let complex = try UDFMeta(navShape: [2], sigShape: frames, inputDType: .complex64, framesPerPartition: 1)
        #expect(
            message { _ = try RunPlan([], meta: complex, corrections: Corrections(dark: image())) }
                .contains("frames of complex64 cannot be corrected"))
    }

    @Test func everyErrorSaysWhatToDo() {
        let pixel = DetectorPixel(y: 2, x: 3)
        let texts = [
            CorrectionsError.unreadable("x.npy is not a file"), .noImage("the dark frame", shape: [5]),
            .size("the gain map", found: frames, frames: SigShape(height: 1, width: 1)),
            .notReal("the dark frame", .bool), .notFinite("the gain map", at: pixel, value: .nan),
            .outside(pixel, frames: frames), .isolated([pixel]), .isolated([pixel, pixel, pixel]), .pixels(.bool),
        ].map(\.description)
        #expect(Set(texts).count == texts.count && texts.allSatisfy { !$0.isEmpty })
        #expect(texts[7].contains("y = 2, x = 3") && texts[7].contains("2 more"))
    }

    @Test func excludedPixelsAsMaskOrList() throws {
        var mask = [UInt8](repeating: 0, count: 54)
        mask[12] = 7
        mask[53] = 1
        let fromMask = try ExcludedPixels(array: ResultArray(mask, shape: [6, 9]))
        #expect(fromMask.pixels == [DetectorPixel(y: 1, x: 3), DetectorPixel(y: 5, x: 8)])
        #expect(fromMask.shape == frames)
        let fromList = try ExcludedPixels(array: ResultArray([5, 8, 1, 3, 5, 8] as [Int64], shape: [3, 2]))
        #expect(fromList.pixels == fromMask.pixels && fromList.shape == nil)
        // Two columns of truth values are a mask.
        let narrow = try ExcludedPixels(array: ResultArray([true, false, false, true], shape: [2, 2]))
        #expect(narrow.shape == SigShape(height: 2, width: 2) && narrow.pixels.count == 2)
        for pixels in [fromMask, fromList, narrow] { #expect(try ExcludedPixels(array: pixels.array) == pixels) }
        let far = try ExcludedPixels(array: ResultArray([UInt64.max, 0], shape: [1, 2]))
        #expect(far.pixels[0].y > 1 << 40)
    }

    @Test func travelling() throws {
        let dark = ResultArray((0..<54).map { Float($0) }, shape: [6, 9])
        let gain = ResultArray((0..<54).map { Double($0) / 7 }, shape: [6, 9])
        let excluded = ExcludedPixels([(y: 2, x: 3)])
        for corrections in [
            Corrections(), Corrections(dark: dark), Corrections(gain: gain, keepsIsolatedPixels: true),
            Corrections(excluded: excluded), Corrections(dark: dark, gain: gain, excluded: excluded),
            Corrections(excluded: try ExcludedPixels(mask: dark)),
        ] {
            let copy = try Corrections(corrections.encoded)
            #expect(copy == corrections)
            #expect(copy.contentHash == corrections.contentHash)
        }
        var hashes: Set<UInt64> = []
        for corrections in [
            Corrections(dark: dark), Corrections(gain: dark), Corrections(dark: gain),
            Corrections(dark: dark, gain: gain),
            Corrections(excluded: excluded), Corrections(excluded: excluded, keepsIsolatedPixels: true),
        ] { hashes.insert(corrections.contentHash) }
        #expect(hashes.count == 6)
        var bad = Corrections(dark: dark).encoded
        bad.dark.removeLast()
        #expect(message { _ = try Corrections(bad) }.hasPrefix("the dark frame: "))
        bad = Corrections().encoded
        bad.excluded = [1, 2, 3]
        #expect(message { _ = try Corrections(bad) } == "the excluded pixels: it is not a .npy file")
    }

    @Test func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "corrections-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let dark = ResultArray((0..<54).map { Float($0) }, shape: [6, 9])
        try NumpyFile.write(dark, to: folder + "/dark.npy")
        try NumpyFile.write(ResultArray([1, 3] as [Int32], shape: [1, 2]), to: folder + "/dead.npy")
        try NumpyFile.write(ResultArray([1, 3] as [Int32], shape: [2]), to: folder + "/flat.npy")
        let read = try Corrections(darkFile: folder + "/dark.npy", gainFile: nil, excludedFile: folder + "/dead.npy")
        #expect(read == Corrections(dark: dark, excluded: ExcludedPixels([(y: 1, x: 3)])))
        #expect(try Corrections(darkFile: nil, gainFile: nil, excludedFile: nil).isEmpty)
        let missing = message {
            _ = try Corrections(darkFile: nil, gainFile: folder + "/none.npy", excludedFile: nil)
        }
        #expect(missing.contains("/none.npy"))
        let flat = message { _ = try Corrections(darkFile: nil, gainFile: nil, excludedFile: folder + "/flat.npy") }
        #expect(flat.contains("/flat.npy: the mask of excluded pixels has the shape [2]"))
    }
}
