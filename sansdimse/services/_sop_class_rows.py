# ruff: noqa: E501 (one row is one line)
"""The SOP classes of PS3.6 A-1 as text; ``sop_classes.py`` reads it at import.

A section is ``[annex of PS3.4 | service class | information model | root level | levels]``, the last
three for query and retrieve only. A row is the UID without its root, the DIMSE services it uses, its
keyword and its name ("~" for " SOP Class", "-" for none).

Services: E C-ECHO, S C-STORE, F C-FIND, G C-GET, M C-MOVE, c N-CREATE, s N-SET, g N-GET, a N-ACTION,
d N-DELETE, e N-EVENT-REPORT; "-" none; "*" first for a Meta SOP class, which has those of its members.

The order within Storage is a ranking, for whoever has room for 127 contexts only (PS3.8 9.3.2.2
leaves 128). It is a judgement, not a count: the plain images of everyday modalities; what is added to
every study (reports, presentation states, key objects, dose, documents); enhanced and secondary
multi-frame; radiotherapy and segmentation; visible light and eyes; waveforms; then what is rarer. From
there on by UID. The two wholly nameless rows are retired numbers that PS3.6 lists without a name.
"""

ROWS = """\
[A | Verification]
1.1 E Verification Verification~
[B | Storage]
5.1.4.1.1.2 S CTImageStorage CT Image Storage
5.1.4.1.1.4 S MRImageStorage MR Image Storage
5.1.4.1.1.1 S ComputedRadiographyImageStorage Computed Radiography Image Storage
5.1.4.1.1.1.1 S DigitalXRayImageStorageForPresentation Digital X-Ray Image Storage - For Presentation
5.1.4.1.1.6.1 S UltrasoundImageStorage Ultrasound Image Storage
5.1.4.1.1.3.1 S UltrasoundMultiFrameImageStorage Ultrasound Multi-frame Image Storage
5.1.4.1.1.7 S SecondaryCaptureImageStorage Secondary Capture Image Storage
5.1.4.1.1.20 S NuclearMedicineImageStorage Nuclear Medicine Image Storage
5.1.4.1.1.128 S PositronEmissionTomographyImageStorage Positron Emission Tomography Image Storage
5.1.4.1.1.1.2 S DigitalMammographyXRayImageStorageForPresentation Digital Mammography X-Ray Image Storage - For Presentation
5.1.4.1.1.12.1 S XRayAngiographicImageStorage X-Ray Angiographic Image Storage
5.1.4.1.1.12.2 S XRayRadiofluoroscopicImageStorage X-Ray Radiofluoroscopic Image Storage
5.1.4.1.1.88.11 S BasicTextSRStorage Basic Text SR Storage
5.1.4.1.1.88.22 S EnhancedSRStorage Enhanced SR Storage
5.1.4.1.1.88.33 S ComprehensiveSRStorage Comprehensive SR Storage
5.1.4.1.1.11.1 S GrayscaleSoftcopyPresentationStateStorage Grayscale Softcopy Presentation State Storage
5.1.4.1.1.88.59 S KeyObjectSelectionDocumentStorage Key Object Selection Document Storage
5.1.4.1.1.88.67 S XRayRadiationDoseSRStorage X-Ray Radiation Dose SR Storage
5.1.4.1.1.104.1 S EncapsulatedPDFStorage Encapsulated PDF Storage
5.1.4.1.1.2.1 S EnhancedCTImageStorage Enhanced CT Image Storage
5.1.4.1.1.4.1 S EnhancedMRImageStorage Enhanced MR Image Storage
5.1.4.1.1.13.1.3 S BreastTomosynthesisImageStorage Breast Tomosynthesis Image Storage
5.1.4.1.1.1.1.1 S DigitalXRayImageStorageForProcessing Digital X-Ray Image Storage - For Processing
5.1.4.1.1.1.2.1 S DigitalMammographyXRayImageStorageForProcessing Digital Mammography X-Ray Image Storage - For Processing
5.1.4.1.1.7.4 S MultiFrameTrueColorSecondaryCaptureImageStorage Multi-frame True Color Secondary Capture Image Storage
5.1.4.1.1.7.2 S MultiFrameGrayscaleByteSecondaryCaptureImageStorage Multi-frame Grayscale Byte Secondary Capture Image Storage
5.1.4.1.1.7.3 S MultiFrameGrayscaleWordSecondaryCaptureImageStorage Multi-frame Grayscale Word Secondary Capture Image Storage
5.1.4.1.1.7.1 S MultiFrameSingleBitSecondaryCaptureImageStorage Multi-frame Single Bit Secondary Capture Image Storage
5.1.4.1.1.481.1 S RTImageStorage RT Image Storage
5.1.4.1.1.481.2 S RTDoseStorage RT Dose Storage
5.1.4.1.1.481.3 S RTStructureSetStorage RT Structure Set Storage
5.1.4.1.1.481.5 S RTPlanStorage RT Plan Storage
5.1.4.1.1.481.4 S RTBeamsTreatmentRecordStorage RT Beams Treatment Record Storage
5.1.4.1.1.66.4 S SegmentationStorage Segmentation Storage
5.1.4.1.1.66.1 S SpatialRegistrationStorage Spatial Registration Storage
5.1.4.1.1.66 S RawDataStorage Raw Data Storage
5.1.4.1.1.77.1.1 S VLEndoscopicImageStorage VL Endoscopic Image Storage
5.1.4.1.1.77.1.2 S VLMicroscopicImageStorage VL Microscopic Image Storage
5.1.4.1.1.77.1.3 S VLSlideCoordinatesMicroscopicImageStorage VL Slide-Coordinates Microscopic Image Storage
5.1.4.1.1.77.1.4 S VLPhotographicImageStorage VL Photographic Image Storage
5.1.4.1.1.77.1.1.1 S VideoEndoscopicImageStorage Video Endoscopic Image Storage
5.1.4.1.1.77.1.2.1 S VideoMicroscopicImageStorage Video Microscopic Image Storage
5.1.4.1.1.77.1.4.1 S VideoPhotographicImageStorage Video Photographic Image Storage
5.1.4.1.1.77.1.5.1 S OphthalmicPhotography8BitImageStorage Ophthalmic Photography 8 Bit Image Storage
5.1.4.1.1.77.1.5.2 S OphthalmicPhotography16BitImageStorage Ophthalmic Photography 16 Bit Image Storage
5.1.4.1.1.77.1.5.4 S OphthalmicTomographyImageStorage Ophthalmic Tomography Image Storage
5.1.4.1.1.77.1.6 S VLWholeSlideMicroscopyImageStorage VL Whole Slide Microscopy Image Storage
5.1.4.1.1.77.1.7 S DermoscopicPhotographyImageStorage Dermoscopic Photography Image Storage
5.1.4.1.1.1.3 S DigitalIntraOralXRayImageStorageForPresentation Digital Intra-Oral X-Ray Image Storage - For Presentation
5.1.4.1.1.1.3.1 S DigitalIntraOralXRayImageStorageForProcessing Digital Intra-Oral X-Ray Image Storage - For Processing
5.1.4.1.1.9.1.1 S TwelveLeadECGWaveformStorage 12-lead ECG Waveform Storage
5.1.4.1.1.9.1.2 S GeneralECGWaveformStorage General ECG Waveform Storage
5.1.4.1.1.9.1.3 S AmbulatoryECGWaveformStorage Ambulatory ECG Waveform Storage
5.1.4.1.1.9.2.1 S HemodynamicWaveformStorage Hemodynamic Waveform Storage
5.1.4.1.1.12.1.1 S EnhancedXAImageStorage Enhanced XA Image Storage
5.1.4.1.1.12.2.1 S EnhancedXRFImageStorage Enhanced XRF Image Storage
5.1.4.1.1.13.1.1 S XRay3DAngiographicImageStorage X-Ray 3D Angiographic Image Storage
5.1.4.1.1.13.1.2 S XRay3DCraniofacialImageStorage X-Ray 3D Craniofacial Image Storage
5.1.4.1.1.130 S EnhancedPETImageStorage Enhanced PET Image Storage
5.1.4.1.1.6.2 S EnhancedUSVolumeStorage Enhanced US Volume Storage
5.1.4.1.1.4.2 S MRSpectroscopyStorage MR Spectroscopy Storage
5.1.4.1.1.4.3 S EnhancedMRColorImageStorage Enhanced MR Color Image Storage
5.1.4.1.1.2.2 S LegacyConvertedEnhancedCTImageStorage Legacy Converted Enhanced CT Image Storage
5.1.4.1.1.4.4 S LegacyConvertedEnhancedMRImageStorage Legacy Converted Enhanced MR Image Storage
5.1.4.1.1.128.1 S LegacyConvertedEnhancedPETImageStorage Legacy Converted Enhanced PET Image Storage
5.1.4.1.1.11.2 S ColorSoftcopyPresentationStateStorage Color Softcopy Presentation State Storage
5.1.4.1.1.11.3 S PseudoColorSoftcopyPresentationStateStorage Pseudo-Color Softcopy Presentation State Storage
5.1.4.1.1.11.4 S BlendingSoftcopyPresentationStateStorage Blending Softcopy Presentation State Storage
5.1.4.1.1.11.5 S XAXRFGrayscaleSoftcopyPresentationStateStorage XA/XRF Grayscale Softcopy Presentation State Storage
5.1.4.1.1.11.8 S AdvancedBlendingPresentationStateStorage Advanced Blending Presentation State Storage
5.1.4.1.1.88.50 S MammographyCADSRStorage Mammography CAD SR Storage
5.1.4.1.1.88.65 S ChestCADSRStorage Chest CAD SR Storage
5.1.4.1.1.88.69 S ColonCADSRStorage Colon CAD SR Storage
5.1.4.1.1.88.34 S Comprehensive3DSRStorage Comprehensive 3D SR Storage
5.1.4.1.1.88.35 S ExtensibleSRStorage Extensible SR Storage
5.1.4.1.1.88.40 S ProcedureLogStorage Procedure Log Storage
5.1.4.1.1.88.68 S RadiopharmaceuticalRadiationDoseSRStorage Radiopharmaceutical Radiation Dose SR Storage
5.1.4.1.1.88.73 S PatientRadiationDoseSRStorage Patient Radiation Dose SR Storage
5.1.4.1.1.88.76 S EnhancedXRayRadiationDoseSRStorage Enhanced X-Ray Radiation Dose SR Storage
5.1.4.1.1.88.71 S AcquisitionContextSRStorage Acquisition Context SR Storage
5.1.4.1.1.88.72 S SimplifiedAdultEchoSRStorage Simplified Adult Echo SR Storage
5.1.4.1.1.481.8 S RTIonPlanStorage RT Ion Plan Storage
5.1.4.1.1.481.9 S RTIonBeamsTreatmentRecordStorage RT Ion Beams Treatment Record Storage
5.1.4.1.1.481.6 S RTBrachyTreatmentRecordStorage RT Brachy Treatment Record Storage
5.1.4.1.1.481.7 S RTTreatmentSummaryRecordStorage RT Treatment Summary Record Storage
5.1.4.1.1.30 S ParametricMapStorage Parametric Map Storage
5.1.4.1.1.67 S RealWorldValueMappingStorage Real World Value Mapping Storage
5.1.4.1.1.66.3 S DeformableSpatialRegistrationStorage Deformable Spatial Registration Storage
5.1.4.1.1.66.2 S SpatialFiducialsStorage Spatial Fiducials Storage
5.1.4.1.1.66.5 S SurfaceSegmentationStorage Surface Segmentation Storage
5.1.4.1.1.66.6 S TractographyResultsStorage Tractography Results Storage
5.1.4.1.1.66.7 S LabelMapSegmentationStorage Label Map Segmentation Storage
5.1.4.1.1.13.1.4 S BreastProjectionXRayImageStorageForPresentation Breast Projection X-Ray Image Storage - For Presentation
5.1.4.1.1.13.1.5 S BreastProjectionXRayImageStorageForProcessing Breast Projection X-Ray Image Storage - For Processing
5.1.4.1.1.14.1 S IntravascularOpticalCoherenceTomographyImageStorageForPresentation Intravascular Optical Coherence Tomography Image Storage - For Presentation
5.1.4.1.1.14.2 S IntravascularOpticalCoherenceTomographyImageStorageForProcessing Intravascular Optical Coherence Tomography Image Storage - For Processing
5.1.4.1.1.104.2 S EncapsulatedCDAStorage Encapsulated CDA Storage
5.1.4.1.1.104.3 S EncapsulatedSTLStorage Encapsulated STL Storage
5.1.4.1.1.104.4 S EncapsulatedOBJStorage Encapsulated OBJ Storage
5.1.4.1.1.104.5 S EncapsulatedMTLStorage Encapsulated MTL Storage
5.1.4.1.1.9.4.1 S BasicVoiceAudioWaveformStorage Basic Voice Audio Waveform Storage
5.1.4.1.1.9.4.2 S GeneralAudioWaveformStorage General Audio Waveform Storage
5.1.4.1.1.9.3.1 S CardiacElectrophysiologyWaveformStorage Cardiac Electrophysiology Waveform Storage
5.1.4.1.1.9.5.1 S ArterialPulseWaveformStorage Arterial Pulse Waveform Storage
5.1.4.1.1.9.6.1 S RespiratoryWaveformStorage Respiratory Waveform Storage
5.1.4.1.1.78.7 S OphthalmicAxialMeasurementsStorage Ophthalmic Axial Measurements Storage
5.1.4.1.1.80.1 S OphthalmicVisualFieldStaticPerimetryMeasurementsStorage Ophthalmic Visual Field Static Perimetry Measurements Storage
5.1.4.1.1.81.1 S OphthalmicThicknessMapStorage Ophthalmic Thickness Map Storage
5.1.4.1.1.77.1.5.5 S WideFieldOphthalmicPhotographyStereographicProjectionImageStorage Wide Field Ophthalmic Photography Stereographic Projection Image Storage
5.1.4.1.1.77.1.5.6 S WideFieldOphthalmicPhotography3DCoordinatesImageStorage Wide Field Ophthalmic Photography 3D Coordinates Image Storage
5.1.4.1.1.77.1.5.7 S OphthalmicOpticalCoherenceTomographyEnFaceImageStorage Ophthalmic Optical Coherence Tomography En Face Image Storage
5.1.4.1.1.77.1.5.8 S OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage
5.1.4.1.1.79.1 S MacularGridThicknessAndVolumeReportStorage Macular Grid Thickness and Volume Report Storage
5.1.4.1.1.82.1 S CornealTopographyMapStorage Corneal Topography Map Storage
5.1.4.1.1.78.1 S LensometryMeasurementsStorage Lensometry Measurements Storage
5.1.4.1.1.78.2 S AutorefractionMeasurementsStorage Autorefraction Measurements Storage
5.1.4.1.1.78.3 S KeratometryMeasurementsStorage Keratometry Measurements Storage
5.1.4.1.1.78.4 S SubjectiveRefractionMeasurementsStorage Subjective Refraction Measurements Storage
5.1.4.1.1.78.5 S VisualAcuityMeasurementsStorage Visual Acuity Measurements Storage
5.1.4.1.1.78.6 S SpectaclePrescriptionReportStorage Spectacle Prescription Report Storage
5.1.4.1.1.78.8 S IntraocularLensCalculationsStorage Intraocular Lens Calculations Storage
5.1.4.1.1.77.1.5.3 S StereometricRelationshipStorage Stereometric Relationship Storage
5.1.4.1.1.6.3 S PhotoacousticImageStorage Photoacoustic Image Storage
5.1.4.1.1.91.1 S MicroscopyBulkSimpleAnnotationsStorage Microscopy Bulk Simple Annotations Storage
5.1.4.1.1.9.1.4 S General32bitECGWaveformStorage General 32-bit ECG Waveform Storage
5.1.4.1.1.9.6.2 S MultichannelRespiratoryWaveformStorage Multi-channel Respiratory Waveform Storage
5.1.4.1.1.9.7.1 S RoutineScalpElectroencephalogramWaveformStorage Routine Scalp Electroencephalogram Waveform Storage
5.1.4.1.1.9.7.2 S ElectromyogramWaveformStorage Electromyogram Waveform Storage
5.1.4.1.1.9.7.3 S ElectrooculogramWaveformStorage Electrooculogram Waveform Storage
5.1.4.1.1.9.7.4 S SleepElectroencephalogramWaveformStorage Sleep Electroencephalogram Waveform Storage
5.1.4.1.1.9.8.1 S BodyPositionWaveformStorage Body Position Waveform Storage
5.1.4.1.1.9.100.1 S WaveformPresentationStateStorage Waveform Presentation State Storage
5.1.4.1.1.9.100.2 S WaveformAcquisitionPresentationStateStorage Waveform Acquisition Presentation State Storage
5.1.4.1.1.11.6 S GrayscalePlanarMPRVolumetricPresentationStateStorage Grayscale Planar MPR Volumetric Presentation State Storage
5.1.4.1.1.11.7 S CompositingPlanarMPRVolumetricPresentationStateStorage Compositing Planar MPR Volumetric Presentation State Storage
5.1.4.1.1.11.9 S VolumeRenderingVolumetricPresentationStateStorage Volume Rendering Volumetric Presentation State Storage
5.1.4.1.1.11.10 S SegmentedVolumeRenderingVolumetricPresentationStateStorage Segmented Volume Rendering Volumetric Presentation State Storage
5.1.4.1.1.11.11 S MultipleVolumeRenderingVolumetricPresentationStateStorage Multiple Volume Rendering Volumetric Presentation State Storage
5.1.4.1.1.11.12 S VariableModalityLUTSoftcopyPresentationStateStorage Variable Modality LUT Softcopy Presentation State Storage
5.1.4.1.1.66.8 S HeightMapSegmentationStorage Height Map Segmentation Storage
5.1.4.1.1.68.1 S SurfaceScanMeshStorage Surface Scan Mesh Storage
5.1.4.1.1.68.2 S SurfaceScanPointCloudStorage Surface Scan Point Cloud Storage
5.1.4.1.1.77.1.8 S ConfocalMicroscopyImageStorage Confocal Microscopy Image Storage
5.1.4.1.1.77.1.9 S ConfocalMicroscopyTiledPyramidalImageStorage Confocal Microscopy Tiled Pyramidal Image Storage
5.1.4.1.1.88.70 S ImplantationPlanSRStorage Implantation Plan SR Storage
5.1.4.1.1.88.74 S PlannedImagingAgentAdministrationSRStorage Planned Imaging Agent Administration SR Storage
5.1.4.1.1.88.75 S PerformedImagingAgentAdministrationSRStorage Performed Imaging Agent Administration SR Storage
5.1.4.1.1.88.77 S WaveformAnnotationSRStorage Waveform Annotation SR Storage
5.1.4.1.1.90.1 S ContentAssessmentResultsStorage Content Assessment Results Storage
5.1.4.1.1.131 S BasicStructuredDisplayStorage Basic Structured Display Storage
5.1.4.1.1.200.2 S CTPerformedProcedureProtocolStorage CT Performed Procedure Protocol Storage
5.1.4.1.1.200.8 S XAPerformedProcedureProtocolStorage XA Performed Procedure Protocol Storage
5.1.4.1.1.481.10 S RTPhysicianIntentStorage RT Physician Intent Storage
5.1.4.1.1.481.11 S RTSegmentAnnotationStorage RT Segment Annotation Storage
5.1.4.1.1.481.12 S RTRadiationSetStorage RT Radiation Set Storage
5.1.4.1.1.481.13 S CArmPhotonElectronRadiationStorage C-Arm Photon-Electron Radiation Storage
5.1.4.1.1.481.14 S TomotherapeuticRadiationStorage Tomotherapeutic Radiation Storage
5.1.4.1.1.481.15 S RoboticArmRadiationStorage Robotic-Arm Radiation Storage
5.1.4.1.1.481.16 S RTRadiationRecordSetStorage RT Radiation Record Set Storage
5.1.4.1.1.481.17 S RTRadiationSalvageRecordStorage RT Radiation Salvage Record Storage
5.1.4.1.1.481.18 S TomotherapeuticRadiationRecordStorage Tomotherapeutic Radiation Record Storage
5.1.4.1.1.481.19 S CArmPhotonElectronRadiationRecordStorage C-Arm Photon-Electron Radiation Record Storage
5.1.4.1.1.481.20 S RoboticRadiationRecordStorage Robotic Radiation Record Storage
5.1.4.1.1.481.21 S RTRadiationSetDeliveryInstructionStorage RT Radiation Set Delivery Instruction Storage
5.1.4.1.1.481.22 S RTTreatmentPreparationStorage RT Treatment Preparation Storage
5.1.4.1.1.481.23 S EnhancedRTImageStorage Enhanced RT Image Storage
5.1.4.1.1.481.24 S EnhancedContinuousRTImageStorage Enhanced Continuous RT Image Storage
5.1.4.1.1.481.25 S RTPatientPositionAcquisitionInstructionStorage RT Patient Position Acquisition Instruction Storage
5.1.4.34.7 S RTBeamsDeliveryInstructionStorage RT Beams Delivery Instruction Storage
5.1.4.34.10 S RTBrachyApplicationSetupDeliveryInstructionStorage RT Brachy Application Setup Delivery Instruction Storage
[B | Storage] retired
5.1.4.1.1.3 S UltrasoundMultiFrameImageStorageRetired Ultrasound Multi-frame Image Storage
5.1.4.1.1.5 S NuclearMedicineImageStorageRetired Nuclear Medicine Image Storage
5.1.4.1.1.6 S UltrasoundImageStorageRetired Ultrasound Image Storage
5.1.4.1.1.8 S StandaloneOverlayStorage Standalone Overlay Storage
5.1.4.1.1.9 S StandaloneCurveStorage Standalone Curve Storage
5.1.4.1.1.9.1 S WaveformStorageTrial Waveform Storage - Trial
5.1.4.1.1.10 S StandaloneModalityLUTStorage Standalone Modality LUT Storage
5.1.4.1.1.11 S StandaloneVOILUTStorage Standalone VOI LUT Storage
5.1.4.1.1.12.3 S XRayAngiographicBiPlaneImageStorage X-Ray Angiographic Bi-Plane Image Storage
5.1.4.1.1.12.77 S - -
5.1.4.1.1.40 S - -
5.1.4.1.1.77.1 S VLImageStorageTrial VL Image Storage - Trial
5.1.4.1.1.77.2 S VLMultiFrameImageStorageTrial VL Multi-frame Image Storage - Trial
5.1.4.1.1.88.1 S TextSRStorageTrial Text SR Storage - Trial
5.1.4.1.1.88.2 S AudioSRStorageTrial Audio SR Storage - Trial
5.1.4.1.1.88.3 S DetailSRStorageTrial Detail SR Storage - Trial
5.1.4.1.1.88.4 S ComprehensiveSRStorageTrial Comprehensive SR Storage - Trial
5.1.4.1.1.129 S StandalonePETCurveStorage Standalone PET Curve Storage
[GG | Non-Patient Object Storage]
5.1.4.1.1.200.1 S CTDefinedProcedureProtocolStorage CT Defined Procedure Protocol Storage
5.1.4.1.1.200.3 S ProtocolApprovalStorage Protocol Approval Storage
5.1.4.1.1.200.7 S XADefinedProcedureProtocolStorage XA Defined Procedure Protocol Storage
5.1.4.1.1.201.1 S InventoryStorage Inventory Storage
5.1.4.38.1 S HangingProtocolStorage Hanging Protocol Storage
5.1.4.39.1 S ColorPaletteStorage Color Palette Storage
5.1.4.43.1 S GenericImplantTemplateStorage Generic Implant Template Storage
5.1.4.44.1 S ImplantAssemblyTemplateStorage Implant Assembly Template Storage
5.1.4.45.1 S ImplantTemplateGroupStorage Implant Template Group Storage
[- | Storage (DICOS)]
5.1.4.1.1.501.1 S DICOSCTImageStorage DICOS CT Image Storage
5.1.4.1.1.501.2.1 S DICOSDigitalXRayImageStorageForPresentation DICOS Digital X-Ray Image Storage - For Presentation
5.1.4.1.1.501.2.2 S DICOSDigitalXRayImageStorageForProcessing DICOS Digital X-Ray Image Storage - For Processing
5.1.4.1.1.501.3 S DICOSThreatDetectionReportStorage DICOS Threat Detection Report Storage
5.1.4.1.1.501.4 S DICOS2DAITStorage DICOS 2D AIT Storage
5.1.4.1.1.501.5 S DICOS3DAITStorage DICOS 3D AIT Storage
5.1.4.1.1.501.6 S DICOSQuadrupoleResonanceStorage DICOS Quadrupole Resonance (QR) Storage
[- | Storage (DICONDE)]
5.1.4.1.1.601.1 S EddyCurrentImageStorage Eddy Current Image Storage
5.1.4.1.1.601.2 S EddyCurrentMultiFrameImageStorage Eddy Current Multi-frame Image Storage
5.1.4.1.1.601.3 S ThermographyImageStorage Thermography Image Storage
5.1.4.1.1.601.4 S ThermographyMultiFrameImageStorage Thermography Multi-frame Image Storage
5.1.4.1.1.601.5 S UltrasoundWaveformStorage Ultrasound Waveform Storage
[I | Media Storage]
1.3.10 - MediaStorageDirectoryStorage Media Storage Directory Storage
[J | Storage Commitment]
1.20.1 ae StorageCommitmentPushModel Storage Commitment Push Model~
[P | Application Event Logging]
1.40 a ProceduralEventLogging Procedural Event Logging~
1.42 a SubstanceAdministrationLogging Substance Administration Logging~
[F | Procedure Step]
3.1.2.3.3 cs ModalityPerformedProcedureStep Modality Performed Procedure Step~
3.1.2.3.4 g ModalityPerformedProcedureStepRetrieve Modality Performed Procedure Step Retrieve~
3.1.2.3.5 e ModalityPerformedProcedureStepNotification Modality Performed Procedure Step Notification~
[H | Print Management]
5.1.1.1 csda BasicFilmSession Basic Film Session~
5.1.1.2 cads BasicFilmBox Basic Film Box~
5.1.1.4 s BasicGrayscaleImageBox Basic Grayscale Image Box~
5.1.1.4.1 s BasicColorImageBox Basic Color Image Box~
5.1.1.9 *csdage BasicGrayscalePrintManagementMeta Basic Grayscale Print Management Meta~
5.1.1.14 eg PrintJob Print Job~
5.1.1.15 s BasicAnnotationBox Basic Annotation Box~
5.1.1.16 eg Printer Printer~
5.1.1.16.376 g PrinterConfigurationRetrieval Printer Configuration Retrieval~
5.1.1.18 *csdage BasicColorPrintManagementMeta Basic Color Print Management Meta~
5.1.1.22 - VOILUTBox VOI LUT Box~
5.1.1.23 cd PresentationLUT Presentation LUT~
[S | Media Creation Management]
5.1.1.33 cag MediaCreationManagement Media Creation Management~ UID
[EE | Display System Management]
5.1.1.40 g DisplaySystem Display System~
[II | Protocol Approval Query/Retrieve | Protocol Approval | single level]
5.1.4.1.1.200.4 F ProtocolApprovalInformationModelFind Protocol Approval Information Model - FIND
5.1.4.1.1.200.5 M ProtocolApprovalInformationModelMove Protocol Approval Information Model - MOVE
5.1.4.1.1.200.6 G ProtocolApprovalInformationModelGet Protocol Approval Information Model - GET
[JJ | Inventory Query/Retrieve | Inventory | single level]
5.1.4.1.1.201.2 F InventoryFind Inventory - FIND
5.1.4.1.1.201.3 M InventoryMove Inventory - MOVE
5.1.4.1.1.201.4 G InventoryGet Inventory - GET
[KK | Storage Management]
5.1.4.1.1.201.5 ae InventoryCreation Inventory Creation
[C | Query/Retrieve | Study Root (extended) | STUDY | STUDY SERIES IMAGE]
5.1.4.1.1.201.6 F RepositoryQuery Repository Query
[C | Query/Retrieve | Patient Root | PATIENT | PATIENT STUDY SERIES IMAGE]
5.1.4.1.2.1.1 F PatientRootQueryRetrieveInformationModelFind Patient Root Query/Retrieve Information Model - FIND
5.1.4.1.2.1.2 M PatientRootQueryRetrieveInformationModelMove Patient Root Query/Retrieve Information Model - MOVE
5.1.4.1.2.1.3 G PatientRootQueryRetrieveInformationModelGet Patient Root Query/Retrieve Information Model - GET
[C | Query/Retrieve | Study Root | STUDY | STUDY SERIES IMAGE]
5.1.4.1.2.2.1 F StudyRootQueryRetrieveInformationModelFind Study Root Query/Retrieve Information Model - FIND
5.1.4.1.2.2.2 M StudyRootQueryRetrieveInformationModelMove Study Root Query/Retrieve Information Model - MOVE
5.1.4.1.2.2.3 G StudyRootQueryRetrieveInformationModelGet Study Root Query/Retrieve Information Model - GET
[C | Query/Retrieve | Patient/Study Only | PATIENT | PATIENT STUDY] retired
5.1.4.1.2.3.1 F PatientStudyOnlyQueryRetrieveInformationModelFind Patient/Study Only Query/Retrieve Information Model - FIND
5.1.4.1.2.3.2 M PatientStudyOnlyQueryRetrieveInformationModelMove Patient/Study Only Query/Retrieve Information Model - MOVE
5.1.4.1.2.3.3 G PatientStudyOnlyQueryRetrieveInformationModelGet Patient/Study Only Query/Retrieve Information Model - GET
[Y | Composite Instance Root Retrieve | Composite Instance Root | IMAGE | IMAGE FRAME]
5.1.4.1.2.4.2 M CompositeInstanceRootRetrieveMove Composite Instance Root Retrieve - MOVE
5.1.4.1.2.4.3 G CompositeInstanceRootRetrieveGet Composite Instance Root Retrieve - GET
[Z | Composite Instance Retrieve Without Bulk Data | Composite Instance | IMAGE | IMAGE]
5.1.4.1.2.5.3 G CompositeInstanceRetrieveWithoutBulkDataGet Composite Instance Retrieve Without Bulk Data - GET
[HH | Defined Procedure Protocol Query/Retrieve | Defined Procedure Protocol | single level]
5.1.4.20.1 F DefinedProcedureProtocolInformationModelFind Defined Procedure Protocol Information Model - FIND
5.1.4.20.2 M DefinedProcedureProtocolInformationModelMove Defined Procedure Protocol Information Model - MOVE
5.1.4.20.3 G DefinedProcedureProtocolInformationModelGet Defined Procedure Protocol Information Model - GET
[K | Basic Worklist Management | Modality Worklist | single level]
5.1.4.31 F ModalityWorklistInformationModelFind Modality Worklist Information Model - FIND
[R | Instance Availability Notification]
5.1.4.33 c InstanceAvailabilityNotification Instance Availability Notification~
[CC | Unified Procedure Step (trial)] retired
5.1.4.34.4.1 - UnifiedProcedureStepPushTrial Unified Procedure Step - Push~ - Trial
5.1.4.34.4.2 - UnifiedProcedureStepWatchTrial Unified Procedure Step - Watch~ - Trial
5.1.4.34.4.3 - UnifiedProcedureStepPullTrial Unified Procedure Step - Pull~ - Trial
5.1.4.34.4.4 - UnifiedProcedureStepEventTrial Unified Procedure Step - Event~ - Trial
[CC | Unified Procedure Step]
5.1.4.34.6.1 cag UnifiedProcedureStepPush Unified Procedure Step - Push~
5.1.4.34.6.2 agF UnifiedProcedureStepWatch Unified Procedure Step - Watch~
5.1.4.34.6.3 Fgsa UnifiedProcedureStepPull Unified Procedure Step - Pull~
5.1.4.34.6.4 e UnifiedProcedureStepEvent Unified Procedure Step - Event~
5.1.4.34.6.5 F UnifiedProcedureStepQuery Unified Procedure Step - Query~
[DD | RT Machine Verification]
5.1.4.34.8 csgade RTConventionalMachineVerification RT Conventional Machine Verification
5.1.4.34.9 csgade RTIonMachineVerification RT Ion Machine Verification
[Q | Relevant Patient Information Query | Relevant Patient Information | single level]
5.1.4.37.1 F GeneralRelevantPatientInformationQuery General Relevant Patient Information Query
5.1.4.37.2 F BreastImagingRelevantPatientInformationQuery Breast Imaging Relevant Patient Information Query
5.1.4.37.3 F CardiacRelevantPatientInformationQuery Cardiac Relevant Patient Information Query
[U | Hanging Protocol Query/Retrieve | Hanging Protocol | single level]
5.1.4.38.2 F HangingProtocolInformationModelFind Hanging Protocol Information Model - FIND
5.1.4.38.3 M HangingProtocolInformationModelMove Hanging Protocol Information Model - MOVE
5.1.4.38.4 G HangingProtocolInformationModelGet Hanging Protocol Information Model - GET
[X | Color Palette Query/Retrieve | Color Palette | single level]
5.1.4.39.2 F ColorPaletteQueryRetrieveInformationModelFind Color Palette Query/Retrieve Information Model - FIND
5.1.4.39.3 M ColorPaletteQueryRetrieveInformationModelMove Color Palette Query/Retrieve Information Model - MOVE
5.1.4.39.4 G ColorPaletteQueryRetrieveInformationModelGet Color Palette Query/Retrieve Information Model - GET
[V | Substance Administration Query | Product Characteristics Query | single level]
5.1.4.41 F ProductCharacteristicsQuery Product Characteristics Query~
[V | Substance Administration Query | Substance Approval Query | single level]
5.1.4.42 F SubstanceApprovalQuery Substance Approval Query~
[BB | Implant Template Query/Retrieve | Generic Implant Template | single level]
5.1.4.43.2 F GenericImplantTemplateInformationModelFind Generic Implant Template Information Model - FIND
5.1.4.43.3 M GenericImplantTemplateInformationModelMove Generic Implant Template Information Model - MOVE
5.1.4.43.4 G GenericImplantTemplateInformationModelGet Generic Implant Template Information Model - GET
[BB | Implant Template Query/Retrieve | Implant Assembly Template | single level]
5.1.4.44.2 F ImplantAssemblyTemplateInformationModelFind Implant Assembly Template Information Model - FIND
5.1.4.44.3 M ImplantAssemblyTemplateInformationModelMove Implant Assembly Template Information Model - MOVE
5.1.4.44.4 G ImplantAssemblyTemplateInformationModelGet Implant Assembly Template Information Model - GET
[BB | Implant Template Query/Retrieve | Implant Template Group | single level]
5.1.4.45.2 F ImplantTemplateGroupInformationModelFind Implant Template Group Information Model - FIND
5.1.4.45.3 M ImplantTemplateGroupInformationModelMove Implant Template Group Information Model - MOVE
5.1.4.45.4 G ImplantTemplateGroupInformationModelGet Implant Template Group Information Model - GET
[- | DICOM-RTV (PS3.22)]
10.1 - VideoEndoscopicImageRealTimeCommunication Video Endoscopic Image Real-Time Communication
10.2 - VideoPhotographicImageRealTimeCommunication Video Photographic Image Real-Time Communication
10.3 - AudioWaveformRealTimeCommunication Audio Waveform Real-Time Communication
10.4 - RenditionSelectionDocumentRealTimeCommunication Rendition Selection Document Real-Time Communication
[- | retired] retired
1.9 - BasicStudyContentNotification Basic Study Content Notification~
1.20.2 - StorageCommitmentPullModel Storage Commitment Pull Model~
3.1.2.1.1 - DetachedPatientManagement Detached Patient Management~
3.1.2.1.4 * DetachedPatientManagementMeta Detached Patient Management Meta~
3.1.2.2.1 - DetachedVisitManagement Detached Visit Management~
3.1.2.3.1 - DetachedStudyManagement Detached Study Management~
3.1.2.3.2 - StudyComponentManagement Study Component Management~
3.1.2.5.1 - DetachedResultsManagement Detached Results Management~
3.1.2.5.4 * DetachedResultsManagementMeta Detached Results Management Meta~
3.1.2.5.5 * DetachedStudyManagementMeta Detached Study Management Meta~
3.1.2.6.1 - DetachedInterpretationManagement Detached Interpretation Management~
5.1.1.4.2 - ReferencedImageBox Referenced Image Box~
5.1.1.9.1 * ReferencedGrayscalePrintManagementMeta Referenced Grayscale Print Management Meta~
5.1.1.18.1 * ReferencedColorPrintManagementMeta Referenced Color Print Management Meta~
5.1.1.24 - ImageOverlayBox Image Overlay Box~
5.1.1.24.1 - BasicPrintImageOverlayBox Basic Print Image Overlay Box~
5.1.1.26 - PrintQueueManagement Print Queue Management~
5.1.1.27 - StoredPrintStorage Stored Print Storage~
5.1.1.29 - HardcopyGrayscaleImageStorage Hardcopy Grayscale Image Storage~
5.1.1.30 - HardcopyColorImageStorage Hardcopy Color Image Storage~
5.1.1.31 - PullPrintRequest Pull Print Request~
5.1.1.32 * PullStoredPrintManagementMeta Pull Stored Print Management Meta~
5.1.4.32 * GeneralPurposeWorklistManagementMeta General Purpose Worklist Management Meta~
5.1.4.32.1 - GeneralPurposeWorklistInformationModelFind General Purpose Worklist Information Model - FIND
5.1.4.32.2 - GeneralPurposeScheduledProcedureStep General Purpose Scheduled Procedure Step~
5.1.4.32.3 - GeneralPurposePerformedProcedureStep General Purpose Performed Procedure Step~
5.1.4.34.1 - RTBeamsDeliveryInstructionStorageTrial RT Beams Delivery Instruction Storage - Trial
5.1.4.34.2 - RTConventionalMachineVerificationTrial RT Conventional Machine Verification - Trial
5.1.4.34.3 - RTIonMachineVerificationTrial RT Ion Machine Verification - Trial
"""
