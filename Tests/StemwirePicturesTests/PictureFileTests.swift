import StemwirePictures
import Testing

@Suite struct PictureFileTests {
    @Test func aPNGHasItsSignatureAndSize() throws {
        let png = try #require(
            PictureStyle(colours: "grey").png([0, 1, 2, 3, 4, .nan] as [Float], rows: 2, columns: 3))
        #expect(png.prefix(8).elementsEqual([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
        #expect(png[16..<24].elementsEqual([0, 0, 0, 3, 0, 0, 0, 2]))
    }

    @Test func whatIsNoPictureIsNone() {
        #expect(PNGFile.encode(rgb: [], width: 0, height: 0) == nil)
        #expect(PNGFile.encode(rgb: [1, 2, 3], width: 2, height: 1) == nil)
        #expect(PictureStyle(colours: "pink").png([1.0], rows: 1, columns: 1) == nil)
    }

    @Test func limitsScaleAndMissingValuesShow() {
        let grey = PictureStyle(colours: "grey", outlierShare: 0)
        #expect(
            grey.rgb([0.0, 1, 2, 1000], valid: [true, true, true, false])
                == [0, 0, 0, 128, 128, 128, 255, 255, 255, 0x30, 0x30, 0x30])
        #expect(PictureStyle(colours: "grey", isLogarithmic: true, outlierShare: 0).rgb([0.0, 1, 3])?[3] == 128)
        #expect(PictureStyle().rgb([Float.nan]) == [0x30, 0x30, 0x30])
        #expect(grey.rgb([7.0])?.count == 3)
    }

    @Test func aTIFFEndsWithItsNumbers() {
        let tiff = FloatTIFF.encode([1, 2, 3], rows: 1, columns: 3)
        #expect(tiff.starts(with: Array("II*".utf8) + [0, 8, 0, 0, 0, 10, 0]))
        #expect(tiff.suffix(12).elementsEqual([1, 2, 3].map { Float($0) }.withUnsafeBytes { Array($0) }))
    }

    @Test func allMapsAreThere() {
        #expect(ColourTables.file.count == 768 * ColourTables.names.count)
        for name in ColourTables.names { #expect(ColourTables.table(name)?.count == 768) }
    }
}
